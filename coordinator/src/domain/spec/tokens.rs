//! The words that a constraint is made of.

/// What joins two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Different,
    And,
    Or,
}

impl Operator {
    /// How it is written.
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "==",
            Self::Different => "!=",
            Self::And => "and",
            Self::Or => "or",
        }
    }
}

/// A word of the language.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Number(f64),
    Text(String),
    Name(String),
    Operator(Operator),
    Not,
    Open,
    Close,
    End,
}

impl Token {
    /// What it is, for a message.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Number(number) => format!("`{number}`"),
            Self::Text(text) => format!("`\"{text}\"`"),
            Self::Name(name) => format!("`{name}`"),
            Self::Operator(operator) => format!("`{}`", operator.symbol()),
            Self::Not => "`not`".into(),
            Self::Open => "`(`".into(),
            Self::Close => "`)`".into(),
            Self::End => "end".into(),
        }
    }
}

/// The words of `text`, each with its offset in characters, `End` last; the error is an offset and what is wrong there.
pub(crate) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, (usize, String)> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&first) = chars.get(at) {
        if first.is_whitespace() {
            at += 1;
            continue;
        }
        let (token, len) = token(&chars[at..]).map_err(|message| (at, message))?;
        tokens.push((at, token));
        at += len;
    }
    tokens.push((chars.len(), Token::End));
    Ok(tokens)
}

/// The token that `rest`, which is not empty, starts with, and its length.
fn token(rest: &[char]) -> Result<(Token, usize), String> {
    let run = |belongs: fn(&char) -> bool| rest.iter().take_while(|c| belongs(c)).count();
    match rest[0] {
        '(' => Ok((Token::Open, 1)),
        ')' => Ok((Token::Close, 1)),
        c if c.is_ascii_digit() || c == '.' => number(rest),
        c if c.is_ascii_alphabetic() || c == '_' => {
            let len = run(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
            Ok((name(rest[..len].iter().collect()), len))
        }
        quote @ ('"' | '\'') => match rest[1..].iter().position(|c| *c == quote) {
            Some(len) => Ok((Token::Text(rest[1..=len].iter().collect()), len + 2)),
            None => Err(format!("the word that starts here has no closing {quote}")),
        },
        _ => symbol(rest),
    }
}

fn number(rest: &[char]) -> Result<(Token, usize), String> {
    let digits = |from: usize| rest[from.min(rest.len())..].iter().take_while(|c| c.is_ascii_digit() || **c == '.').count();
    let mut len = digits(0);
    if matches!(rest.get(len), Some('e' | 'E')) {
        let sign = usize::from(matches!(rest.get(len + 1), Some('+' | '-')));
        len += 1 + sign + digits(len + 1 + sign);
    }
    let text: String = rest[..len].iter().collect();
    match text.parse() {
        Ok(number) if f64::is_finite(number) => Ok((Token::Number(number), len)),
        _ => Err(format!("`{text}` is not a number")),
    }
}

fn name(name: String) -> Token {
    match name.as_str() {
        "and" => Token::Operator(Operator::And),
        "or" => Token::Operator(Operator::Or),
        "not" => Token::Not,
        _ => Token::Name(name),
    }
}

fn symbol(rest: &[char]) -> Result<(Token, usize), String> {
    let operator = match (rest[0], rest.get(1)) {
        ('*', Some('*')) => return Err("`**` is not supported; multiply instead".into()),
        ('&', _) => return Err("unexpected `&`; write `and`".into()),
        ('|', _) => return Err("unexpected `|`; write `or`".into()),
        ('<', Some('=')) => (Operator::LessOrEqual, 2),
        ('>', Some('=')) => (Operator::GreaterOrEqual, 2),
        ('=', Some('=')) => (Operator::Equal, 2),
        ('!', Some('=')) => (Operator::Different, 2),
        ('=', _) => return Err("unexpected `=`; write `==`".into()),
        ('!', _) => return Err("unexpected `!`; write `not`".into()),
        ('+', _) => (Operator::Add, 1),
        ('-', _) => (Operator::Subtract, 1),
        ('*', _) => (Operator::Multiply, 1),
        ('/', _) => (Operator::Divide, 1),
        ('%', _) => (Operator::Remainder, 1),
        ('<', _) => (Operator::Less, 1),
        ('>', _) => (Operator::Greater, 1),
        (other, _) => return Err(format!("unexpected `{}`", other.escape_debug())),
    };
    Ok((Token::Operator(operator.0), operator.1))
}
