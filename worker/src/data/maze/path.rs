//! The way through a maze.

use std::collections::VecDeque;

use super::grid::{FREE, GOAL, PATH, START, WALL, may_become};

/// A cell that no path has reached.
const UNSEEN: u16 = u16::MAX;

/// The shortest path from S to G, both included, as indices of cells; none if there is no way, or not both.
///
/// Of all shortest paths it is the one that Maze-Hard's answers show: breadth first from S, neighbours in the order down, left, right,
/// up, and each cell is entered from where it was seen first.
pub fn shortest(side: usize, tokens: &[u8]) -> Option<Vec<usize>> {
    let start = tokens.iter().position(|token| *token == START)?;
    let mut came_from = vec![UNSEEN; tokens.len()];
    came_from[start] = start as u16;
    let mut queue = VecDeque::from([start]);
    while let Some(cell) = queue.pop_front() {
        if tokens[cell] == GOAL {
            return Some(trace(&came_from, cell));
        }
        for next in neighbours(side, cell) {
            if tokens[next] != WALL && came_from[next] == UNSEEN {
                came_from[next] = cell as u16;
                queue.push_back(next);
            }
        }
    }
    None
}

/// The cells around `cell`: down, left, right, up.
fn neighbours(side: usize, cell: usize) -> impl Iterator<Item = usize> {
    let (row, column) = (cell / side, cell % side);
    let down = (row + 1 < side).then(|| cell + side);
    let left = (column > 0).then(|| cell - 1);
    let right = (column + 1 < side).then(|| cell + 1);
    let up = (row > 0).then(|| cell - side);
    [down, left, right, up].into_iter().flatten()
}

fn trace(came_from: &[u16], goal: usize) -> Vec<usize> {
    let before = |cell: &usize| Some(usize::from(came_from[*cell])).filter(|previous| previous != cell);
    let mut path: Vec<_> = std::iter::successors(Some(goal), before).collect();
    path.reverse();
    path
}

/// The question with its path marked, as in Maze-Hard's answers; none if there is no way.
pub fn solve(side: usize, question: &[u8]) -> Option<Vec<u8>> {
    let path = shortest(side, question)?;
    let mut answer = question.to_vec();
    for cell in &path[1..path.len() - 1] {
        answer[*cell] = PATH;
    }
    Some(answer)
}

/// Whether `answer` is `question` with *a* shortest path marked, and nothing else changed. There are mostly millions of shortest paths;
/// any will do.
pub fn is_optimal(side: usize, question: &[u8], answer: &[u8]) -> bool {
    let unchanged = question.len() == answer.len() && question.iter().zip(answer).all(|(asked, answered)| may_become(*asked, *answered));
    if !unchanged {
        return false;
    }
    let Some(shortest_path) = shortest(side, question) else { return false };
    let marked = answer.iter().filter(|token| **token == PATH).count();
    // So few marked cells reach from S to G only if all of them are on one way.
    let only_marked: Vec<u8> = answer.iter().map(|token| if *token == FREE { WALL } else { *token }).collect();
    marked + 2 == shortest_path.len() && shortest(side, &only_marked).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::grid::{answer_token, character};
    use super::*;

    fn tokens(text: &str) -> Vec<u8> {
        text.chars().map(|character| answer_token(character).unwrap()).collect()
    }

    fn text(tokens: &[u8]) -> String {
        tokens.iter().map(|token| character(*token)).collect()
    }

    #[test]
    fn of_shortest_paths_the_one_that_was_seen_first_is_taken() {
        let cases = [
            ("S       G", "S  o  ooG"),
            ("  S   G  ", "  S  oGoo"),
            ("  G   S  ", "  G  oSoo"),
            ("G       S", "G  o  ooS"),
            ("S  ##   G", "Soo##o  G"),
            ("SG       ", "SG       "),
        ];
        for (question, answer) in cases {
            assert_eq!(text(&solve(3, &tokens(question)).unwrap()), answer, "{question}");
        }
        for question in ["S# #   #G", "S        ", "        G"] {
            assert_eq!(solve(3, &tokens(question)), None, "{question}");
        }
    }

    #[test]
    fn any_shortest_path_is_optimal_and_nothing_else() {
        let question = tokens("S       G");
        for right in ["Soo  o  G", "So  oo  G", "S  oo  oG", "S  o  ooG"] {
            assert!(is_optimal(3, &question, &tokens(right)), "{right}");
        }
        let wrong = ["S       G", "Soo     G", "So   o oG", "Soo oo  G", "S oo o  G", "Soo  o #G", "ooo  o  G", "Soo  o  o"];
        for wrong in wrong {
            assert!(!is_optimal(3, &question, &tokens(wrong)), "{wrong}");
        }
        let padded = [&question[..8], &[0]].concat();
        assert!(!is_optimal(3, &question, &padded));
        assert!(!is_optimal(3, &question, &question[..8]));
    }
}
