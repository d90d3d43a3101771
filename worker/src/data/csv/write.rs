//! Puzzles as text.

use ::csv::WriterBuilder;

use crate::data::{Examples, rules};

/// The canonical text of `examples`, whose rows are what is written: `question` and `answer`, between `source` and `rating` where the
/// rows have them. [`read`](super::read) gives them back.
pub fn write(examples: &Examples) -> Vec<u8> {
    let tags = &examples.tags;
    let (has_sources, has_ratings) = (!tags.sources.is_empty(), !tags.ratings.is_empty());
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    let mut write = |source: &str, question: &str, answer: &str, rating: &str| {
        let source = has_sources.then_some(source);
        let rating = has_ratings.then_some(rating);
        let fields = source.into_iter().chain([question, answer]).chain(rating);
        writer.write_record(fields).expect("memory takes every record, and all have the same number of fields");
    };
    write("source", "question", "answer", "rating");
    for row in 0..examples.rows() {
        let text = |tokens: &[u8]| tokens.iter().map(|token| rules::character(examples.task, *token)).collect::<String>();
        let source = tags.sources.get(row).map_or("", |source| &tags.source_names[*source as usize]);
        let rating = tags.ratings.get(row).map(f32::to_string).unwrap_or_default();
        write(source, &text(examples.question(row)), &text(examples.answer(row)), &rating);
    }
    writer.into_inner().expect("memory can be flushed")
}
