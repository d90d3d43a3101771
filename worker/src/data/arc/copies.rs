//! The augmented copies of a task: up to so many views under which it looks different each time.

use std::collections::HashSet;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::contents::Contents;
use super::grid::COLORS;
use super::tasks::ArcTask;
use super::view::View;

/// Draws for each copy that is wanted, as in the reference; symmetric tasks and those of few colours run out of new ones.
const DRAWS_PER_COPY: usize = 5;

/// The original and up to `count` copies of the task at `index` of a collection with that seed, in the order of drawing. Copies that show
/// the same pairs, in whatever order, are one.
///
/// A task's copies depend on its index and itself alone: tasks that come after it change nothing.
pub fn draw(task: &ArcTask, index: usize, count: usize, seed: u64) -> Vec<View> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index as u64);
    let used = used_colors(task);
    let mut views = vec![View::IDENTITY];
    let contents = Contents::new(task);
    let mut seen = HashSet::from([contents.hash(View::IDENTITY)]);
    let mut tried = HashSet::from([look(View::IDENTITY, used)]);
    for _ in 0..count * DRAWS_PER_COPY {
        if views.len() > count {
            break;
        }
        let view = View::draw(&mut rng);
        if tried.insert(look(view, used)) && seen.insert(contents.hash(view)) {
            views.push(view);
        }
    }
    views
}

/// Which colours the grids of `task` have.
fn used_colors(task: &ArcTask) -> [bool; COLORS as usize] {
    let mut used = [false; COLORS as usize];
    for grid in task.pairs().flat_map(|pair| [Some(&pair.input), pair.output.as_ref()]).flatten() {
        for color in grid.cells() {
            used[usize::from(*color)] = true;
        }
    }
    used
}

/// What of a view can make a difference: its turn, and what the colours that there are become. Spares most repeats the hashing.
fn look(view: View, used: [bool; COLORS as usize]) -> (u8, [u8; COLORS as usize]) {
    let mut colors = view.colors();
    for (color, used) in colors.iter_mut().zip(used) {
        *color *= u8::from(used);
    }
    (view.turn(), colors)
}

#[cfg(test)]
mod tests {
    use super::super::tasks;
    use super::*;

    fn task(text: &str) -> ArcTask {
        tasks::read(text.as_bytes(), "a.json").unwrap().remove(0)
    }

    #[test]
    fn copies_are_drawn_by_seed_and_index_and_differ() {
        let task = task(r#"{"train":[{"input":[[1,2,3],[4,5,6]],"output":[[7,8]]}],"test":[{"input":[[9]]}]}"#);
        let views = draw(&task, 0, 100, 42);
        assert_eq!((views.len(), views[0]), (101, View::IDENTITY));
        let shown = |view: &View| task.pairs().map(|pair| view.show(&pair.input)).collect::<Vec<_>>();
        assert_eq!(views.iter().map(shown).collect::<HashSet<_>>().len(), 101);
        assert_eq!(draw(&task, 0, 50, 42), views[..51]);
        assert_ne!(draw(&task, 1, 100, 42), views);
        assert_ne!(draw(&task, 0, 100, 43), views);
    }

    #[test]
    fn a_task_of_few_looks_has_few_copies() {
        // One colour of nine, and no turn changes anything.
        let square = task(r#"{"train":[{"input":[[1,1],[1,1]],"output":[[1]]}],"test":[{"input":[[1]]}]}"#);
        assert_eq!(draw(&square, 0, 1000, 42).len(), 9);
        // Four turns of a marked corner, times nine colours.
        let corner = task(r#"{"train":[{"input":[[1,0],[0,0]],"output":[[1]]}],"test":[{"input":[[1]]}]}"#);
        assert_eq!(draw(&corner, 0, 1000, 42).len(), 36);
        // Two pairs that a reflection exchanges.
        let pairs = task(
            r#"{"train":[{"input":[[1,0]],"output":[[0]]},{"input":[[0,1]],"output":[[0]]}],"test":[{"input":[[0]],"output":[[0]]}]}"#,
        );
        assert_eq!(draw(&pairs, 0, 1000, 42).len(), 18);
    }
}
