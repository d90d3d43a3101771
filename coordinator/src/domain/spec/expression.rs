//! The small language of `constraints:`, as in `h_cycles * (l_cycles + 1) <= 42 and variant != "att"`.
//!
//! Numbers, truth, hyper-parameters, words in quotes, `+ - * / %`, comparisons, `and or not`, parentheses; precedence as in Python.
//! Kinds are checked when it is read, so evaluation cannot fail. A division by zero gives infinity or no number at all,
//! with which every comparison but `!=` is false.

use serde_json::Value;
use tinysweep_proto::config::{self, TrialConfig};

use super::fields;
use super::settings::Path;
use super::tokens::{Operator, Token, tokens};
use crate::domain::configuration::Configuration;

/// How deep parentheses and signs may lie in one another: each costs stack.
const DEPTH_LIMIT: usize = 50;

/// A condition that a trial must meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    text: String,
    condition: Expr,
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// Where, in characters from the start of the text.
    pub offset: usize,
    /// What was wrong, and what would be right.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Expr {
    Number(f64),
    Text(String),
    Truth(bool),
    /// A hyper-parameter, by canonical path.
    Field(Path, Kind),
    Negative(Box<Expr>),
    Not(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
}

/// What names in a condition mean.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// Hyper-parameters of the built-in models.
    Model,
    /// Parameters of a program, each with the kind of its values; none where they are of several kinds, or lists.
    Program(Vec<(Path, Option<Kind>)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Text,
    Truth,
}

/// The value of an expression.
#[derive(Clone, Debug, PartialEq)]
enum Term {
    Number(f64),
    Text(String),
    Truth(bool),
}

impl Constraint {
    /// Reads a condition on what there is in `scope`.
    pub(crate) fn parse(text: &str, scope: &Scope) -> Result<Self, ExpressionError> {
        let tokens = tokens(text).map_err(|(offset, message)| error(offset, message))?;
        let mut parser = Parser { tokens, scope, next: 0, depth: 0 };
        let condition = parser.disjunction()?;
        let (offset, token) = parser.peek();
        match token {
            Token::End if condition.kind() == Kind::Truth => Ok(Self { text: text.to_owned(), condition }),
            Token::End => {
                Err(error(0, format!("is {}, not a condition; compare it with something, as in `… <= 42`", condition.kind().name())))
            }
            token => Err(error(offset, format!("unexpected {}; expected an operator or the end", token.name()))),
        }
    }

    /// The condition as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the trial meets the condition.
    pub fn allows(&self, facts: &Facts) -> bool {
        self.condition.evaluate(facts) == Term::Truth(true)
    }
}

/// The values of one configuration, by path.
#[derive(Debug)]
pub struct Facts(Value);

impl Facts {
    /// Those of a trial.
    pub fn of(configuration: &Configuration) -> Self {
        match configuration {
            Configuration::Model(config) => Self::of_model(config),
            Configuration::Program(parameters) => Self(parameters.clone()),
        }
    }

    /// Those of `config`; what it leaves open has the value that it stands for.
    fn of_model(config: &TrialConfig) -> Self {
        let effective =
            TrialConfig { puzzle_emb_ndim: Some(config.puzzle_width()), pos_encodings: Some(config.positions()), ..config.clone() };
        Self(serde_json::to_value(effective).expect("a struct of numbers and enums has a JSON form"))
    }

    fn get(&self, path: &str) -> &Value {
        path.split('.').fold(&self.0, |node, key| &node[key])
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Text => "a word",
            Self::Truth => "a condition",
        }
    }

    /// The kind of a field of a model; those that may be left open are numbers.
    fn of_field(value: &Value) -> Self {
        Self::of(value).unwrap_or(Self::Number)
    }

    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(_) => Some(Self::Text),
            Value::Bool(_) => Some(Self::Truth),
            Value::Number(_) => Some(Self::Number),
            _ => None,
        }
    }

    /// The kind that all `values` have, if there is one.
    pub(crate) fn common<'a>(mut values: impl Iterator<Item = &'a Value>) -> Option<Self> {
        let first = Self::of(values.next()?)?;
        values.all(|value| Self::of(value) == Some(first)).then_some(first)
    }
}

impl Operator {
    /// The kind of the result for operands of these kinds, if the operator takes them.
    fn result(self, left: Kind, right: Kind) -> Option<Kind> {
        match self {
            Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Remainder => {
                (left == Kind::Number && right == Kind::Number).then_some(Kind::Number)
            }
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => {
                (left == Kind::Number && right == Kind::Number).then_some(Kind::Truth)
            }
            Self::Equal | Self::Different => (left == right).then_some(Kind::Truth),
            Self::And | Self::Or => (left == Kind::Truth && right == Kind::Truth).then_some(Kind::Truth),
        }
    }

    fn apply(self, left: &Term, right: &Term) -> Term {
        match (left, right) {
            (Term::Number(a), Term::Number(b)) => self.apply_to_numbers(*a, *b),
            _ if self == Self::Equal => Term::Truth(left == right),
            _ => Term::Truth(left != right),
        }
    }

    fn apply_to_numbers(self, a: f64, b: f64) -> Term {
        match self {
            Self::Add => Term::Number(a + b),
            Self::Subtract => Term::Number(a - b),
            Self::Multiply => Term::Number(a * b),
            Self::Divide => Term::Number(a / b),
            Self::Remainder => Term::Number(a - b * (a / b).floor()),
            Self::Less => Term::Truth(a < b),
            Self::LessOrEqual => Term::Truth(a <= b),
            Self::Greater => Term::Truth(a > b),
            Self::GreaterOrEqual => Term::Truth(a >= b),
            Self::Equal => Term::Truth(a == b),
            Self::Different | Self::And | Self::Or => Term::Truth(a != b),
        }
    }
}

impl Expr {
    fn kind(&self) -> Kind {
        match self {
            Self::Number(_) | Self::Negative(_) => Kind::Number,
            Self::Text(_) => Kind::Text,
            Self::Truth(_) | Self::Not(_) => Kind::Truth,
            Self::Field(_, kind) => *kind,
            Self::Binary(operator, left, right) => operator.result(left.kind(), right.kind()).unwrap_or(Kind::Truth),
        }
    }

    fn evaluate(&self, facts: &Facts) -> Term {
        match self {
            Self::Number(number) => Term::Number(*number),
            Self::Text(text) => Term::Text(text.clone()),
            Self::Truth(truth) => Term::Truth(*truth),
            Self::Field(path, Kind::Text) => Term::Text(facts.get(path).as_str().unwrap_or_default().to_owned()),
            Self::Field(path, Kind::Truth) => Term::Truth(facts.get(path).as_bool().unwrap_or_default()),
            Self::Field(path, _) => Term::Number(facts.get(path).as_f64().unwrap_or(f64::NAN)),
            Self::Negative(inner) => Operator::Subtract.apply(&Term::Number(0.0), &inner.evaluate(facts)),
            Self::Not(inner) => Term::Truth(!inner.is_met(facts)),
            Self::Binary(Operator::And, left, right) => Term::Truth(left.is_met(facts) && right.is_met(facts)),
            Self::Binary(Operator::Or, left, right) => Term::Truth(left.is_met(facts) || right.is_met(facts)),
            Self::Binary(operator, left, right) => operator.apply(&left.evaluate(facts), &right.evaluate(facts)),
        }
    }

    fn is_met(&self, facts: &Facts) -> bool {
        self.evaluate(facts) == Term::Truth(true)
    }
}

fn error(offset: usize, message: impl Into<String>) -> ExpressionError {
    ExpressionError { offset, message: message.into() }
}

struct Parser<'a> {
    tokens: Vec<(usize, Token)>,
    scope: &'a Scope,
    next: usize,
    depth: usize,
}

type Parsed = Result<Expr, ExpressionError>;

impl Parser<'_> {
    fn peek(&self) -> (usize, Token) {
        // The last token is `End`, which is never taken.
        self.tokens.get(self.next).cloned().unwrap_or((0, Token::End))
    }

    /// Takes the next token if it is one of `operators`.
    fn operator(&mut self, operators: &[Operator]) -> Option<(usize, Operator)> {
        match self.peek() {
            (at, Token::Operator(operator)) if operators.contains(&operator) => {
                self.next += 1;
                Some((at, operator))
            }
            _ => None,
        }
    }

    /// Operands of the next higher precedence joined by `operators`, from left to right.
    fn chain(&mut self, operators: &[Operator], operand: fn(&mut Self) -> Parsed) -> Parsed {
        let mut left = operand(self)?;
        while let Some((at, operator)) = self.operator(operators) {
            left = binary(at, operator, left, operand(self)?)?;
        }
        Ok(left)
    }

    fn disjunction(&mut self) -> Parsed {
        self.chain(&[Operator::Or], Self::conjunction)
    }

    fn conjunction(&mut self) -> Parsed {
        self.chain(&[Operator::And], Self::negation)
    }

    fn negation(&mut self) -> Parsed {
        let (at, token) = self.peek();
        if token != Token::Not {
            return self.comparison();
        }
        self.next += 1;
        let inner = self.nested(at, Self::negation)?;
        match inner.kind() {
            Kind::Truth => Ok(Expr::Not(Box::new(inner))),
            kind => Err(error(at, format!("`not` needs a condition, not {}", kind.name()))),
        }
    }

    fn comparison(&mut self) -> Parsed {
        use Operator::{Different, Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        const COMPARISONS: [Operator; 6] = [Less, LessOrEqual, Greater, GreaterOrEqual, Equal, Different];
        let left = self.sum()?;
        let Some((at, operator)) = self.operator(&COMPARISONS) else { return Ok(left) };
        let compared = binary(at, operator, left, self.sum()?)?;
        match self.operator(&COMPARISONS) {
            Some((at, _)) => Err(error(at, "comparisons do not chain; join two of them with `and`")),
            None => Ok(compared),
        }
    }

    fn sum(&mut self) -> Parsed {
        self.chain(&[Operator::Add, Operator::Subtract], Self::product)
    }

    fn product(&mut self) -> Parsed {
        self.chain(&[Operator::Multiply, Operator::Divide, Operator::Remainder], Self::sign)
    }

    fn sign(&mut self) -> Parsed {
        let Some((at, operator)) = self.operator(&[Operator::Subtract, Operator::Add]) else { return self.value() };
        let inner = self.nested(at, Self::sign)?;
        match inner.kind() {
            Kind::Number if operator == Operator::Subtract => Ok(Expr::Negative(Box::new(inner))),
            Kind::Number => Ok(inner),
            kind => Err(error(at, format!("`{}` needs a number, not {}", operator.symbol(), kind.name()))),
        }
    }

    fn value(&mut self) -> Parsed {
        let (at, token) = self.peek();
        self.next += 1;
        match token {
            Token::Number(number) => Ok(Expr::Number(number)),
            Token::Text(text) => Ok(Expr::Text(text)),
            Token::Name(name) => self.scope.field(&name).map_err(|message| error(at, message)),
            Token::Open => self.parenthesis(at),
            token => {
                self.next -= 1;
                Err(error(at, format!("unexpected {}; expected a number or a hyper-parameter", token.name())))
            }
        }
    }

    fn parenthesis(&mut self, opened_at: usize) -> Parsed {
        let inner = self.nested(opened_at, Self::disjunction)?;
        match self.peek() {
            (_, Token::Close) => {
                self.next += 1;
                Ok(inner)
            }
            (at, token) => Err(error(at, format!("unexpected {}; expected `)`", token.name()))),
        }
    }

    fn nested(&mut self, at: usize, parse: fn(&mut Self) -> Parsed) -> Parsed {
        if self.depth >= DEPTH_LIMIT {
            return Err(error(at, format!("more than {DEPTH_LIMIT} levels in one another")));
        }
        self.depth += 1;
        let inner = parse(self);
        self.depth -= 1;
        inner
    }
}

fn binary(at: usize, operator: Operator, left: Expr, right: Expr) -> Parsed {
    let (left_kind, right_kind) = (left.kind(), right.kind());
    match operator.result(left_kind, right_kind) {
        Some(_) => Ok(Expr::Binary(operator, Box::new(left), Box::new(right))),
        None => Err(error(at, format!("`{}` cannot join {} and {}", operator.symbol(), left_kind.name(), right_kind.name()))),
    }
}

impl Scope {
    fn field(&self, name: &str) -> Result<Expr, String> {
        match (name, self) {
            ("true" | "True", _) => Ok(Expr::Truth(true)),
            ("false" | "False", _) => Ok(Expr::Truth(false)),
            (_, Self::Model) => {
                let path = config::canonical_path(name).map_err(|unknown| unknown.to_string())?;
                let kind = Kind::of_field(Facts::of_model(&TrialConfig::default()).get(path));
                Ok(Expr::Field(path.into(), kind))
            }
            (_, Self::Program(parameters)) => match parameters.iter().find(|(path, _)| path == name) {
                Some((path, Some(kind))) => Ok(Expr::Field(path.clone(), *kind)),
                Some((path, None)) => Err(format!("the values of `{path}` are lists or of several kinds, which cannot be compared")),
                None => Err(fields::unknown("parameter", name, &parameters.iter().map(|(path, _)| path.as_ref()).collect::<Vec<_>>())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(text: &str) -> bool {
        Constraint::parse(text, &Scope::Model).unwrap().allows(&Facts::of_model(&TrialConfig::default()))
    }

    #[test]
    fn arithmetic_and_precedence() {
        for text in [
            "h_cycles * (l_cycles + 1) <= 42",
            "1 + 2 * 3 == 7",
            "(1 + 2) * 3 == 9",
            "10 - 4 - 3 == 3",
            "8 / 2 / 2 == 2",
            "-7 % 3 == 2",
            "2 - -3 == 5",
            "- (1 + 1) == -2",
            "1e-4 == lr",
            "train.lr < .5",
            "width % heads == 0",
            "variant == 'mlp'",
            "variant != \"att\" or false",
            "pos_encodings == 'none' and puzzle_emb_ndim == hidden_size",
            "not h_cycles > 3",
            "not (true and false)",
            "not continue_loss and continue_loss == false",
            "true or false and false",
            "1 / 0 > 1000000",
        ] {
            assert!(allows(text), "{text}");
        }
        for text in ["h_cycles > 3", "variant == 'att'", "h_cycles % 0 == 0", "not true or false"] {
            assert!(!allows(text), "{text}");
        }
    }

    #[test]
    fn mistakes_are_pointed_at() {
        let cases = [
            ("", 0, "unexpected end; expected a number or a hyper-parameter"),
            ("h_cycles * (", 12, "unexpected end; expected a number or a hyper-parameter"),
            ("(h_cycles < 3", 13, "unexpected end; expected `)`"),
            ("h_cycles < 3)", 12, "unexpected `)`; expected an operator or the end"),
            ("h_cycles 3", 9, "unexpected `3`; expected an operator or the end"),
            ("h_cycles + 1", 0, "is a number, not a condition; compare it with something, as in `… <= 42`"),
            ("hiden_size < 3", 0, "unknown hyper-parameter `hiden_size`; did you mean `hidden_size`?"),
            ("1 < h_cycles < 3", 13, "comparisons do not chain; join two of them with `and`"),
            ("h_cycles = 3", 9, "unexpected `=`; write `==`"),
            ("h_cycles && 3", 9, "unexpected `&`; write `and`"),
            ("variant < 3", 8, "`<` cannot join a word and a number"),
            ("variant == 'mlp", 11, "the word that starts here has no closing '"),
            ("1.2.3 < 4", 0, "`1.2.3` is not a number"),
            ("1e999 < 4", 0, "`1e999` is not a number"),
            ("h_cycles and true", 9, "`and` cannot join a number and a condition"),
            ("not h_cycles", 0, "`not` needs a condition, not a number"),
            ("2 ** 3 < 4", 2, "`**` is not supported; multiply instead"),
            ("é < 4", 0, "unexpected `é`"),
        ];
        for (text, offset, message) in cases {
            assert_eq!(Constraint::parse(text, &Scope::Model), Err(error(offset, message)), "{text}");
        }
        let deep = format!("{}1{} < 2", "(".repeat(100), ")".repeat(100));
        assert_eq!(Constraint::parse(&deep, &Scope::Model), Err(error(50, "more than 50 levels in one another")));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[a-z0-9 ()<>=!+*/%.'\"é-]{0,40}") {
            if let Ok(constraint) = Constraint::parse(&text, &Scope::Model) {
                constraint.allows(&Facts::of_model(&TrialConfig::default()));
            }
        }
    }
}
