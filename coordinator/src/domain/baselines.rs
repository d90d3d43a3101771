//! Published results. Filled in by the next commit.
