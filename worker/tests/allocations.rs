//! What a training step allocates when it has become the same again and again.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{Mutex, PoisonError};

use allocation_counter::{AllocationInfo, measure};
use tinysweep_proto::{
    config::{Precision, TrainConfig, TrialConfig, Variant},
    dataset::DataShape,
};
use tinysweep_worker::{
    carry::Row,
    model::Model,
    random::{Stream, generator},
    trainer::Trainer,
};

const SHAPE: DataShape = DataShape { seq_len: 16, vocab_size: 11, puzzle_identifiers: 1 };
const BATCH: usize = 64;
const WIDTH: usize = 64;
const HEADS: usize = 4;
/// Bytes of one state; no activation is smaller.
const STATE: usize = BATCH * SHAPE.seq_len * WIDTH * 4;

fn config(variant: Variant) -> TrialConfig {
    let train = TrainConfig { batch_size: BATCH, ..TrainConfig::default() };
    // With one supervision step an example every step is the same.
    TrialConfig {
        variant,
        hidden_size: WIDTH,
        num_heads: HEADS,
        halt_max_steps: 1,
        puzzle_emb_ndim: Some(0),
        train,
        ..TrialConfig::default()
    }
}

/// Held by the test that counts: what one gives back another would take.
static COUNTING: Mutex<()> = Mutex::new(());

/// What each of three steps allocates, after three that nobody counts, on one thread, as trials have it: to share work allocates too.
fn steps(config: &TrialConfig) -> [AllocationInfo; 3] {
    let _alone = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let run = || {
        let model = Model::init(config, SHAPE, &mut generator(1, Stream::Weights)).unwrap();
        let mut trainer = Trainer::new(model, generator(1, Stream::Halting)).unwrap();
        let mut step = || {
            let row = |slot| Row { tokens: vec![slot as u32 % 11; SHAPE.seq_len], labels: vec![Some(3); SHAPE.seq_len], identifier: 0 };
            trainer.step(row).unwrap();
        };
        (0..3).for_each(|_| step());
        std::array::from_fn(|_| measure(&mut step))
    };
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run)
}

#[test]
fn steps_allocate_the_same_and_give_all_of_it_back() {
    for variant in [Variant::Mlp, Variant::Att] {
        for precision in [Precision::F32, Precision::Mixed, Precision::Bf16] {
            let [first, others @ ..] = steps(&TrialConfig { precision, ..config(variant) });
            for info in others {
                assert_eq!((info.count_total, info.bytes_total), (first.count_total, first.bytes_total), "{variant:?} {precision:?}");
            }
            for info in [first, others[0], others[1]] {
                assert_eq!((info.count_current, info.bytes_current), (0, 0), "{variant:?} {precision:?}: what stays in memory");
            }
        }
    }
}

#[test]
fn calls_without_gradient_allocate_no_tensor() {
    // The matrix library, which computes the products within heads, takes some bytes for each head of each example.
    for (variant, most) in [(Variant::Mlp, 0), (Variant::Att, 256 * HEADS * BATCH)] {
        let few = TrialConfig { h_cycles: 1, l_cycles: 2, ..config(variant) };
        let many = TrialConfig { h_cycles: 5, ..few.clone() };
        let [few, many] = [few, many].map(|config| steps(&config)[0].bytes_total);
        // Each of the 12 further calls has sums, activations and results of several times as many bytes as a state.
        let a_block = (many - few) / 12 / config(variant).layers as u64;
        assert!(a_block <= most as u64, "{variant:?}: {a_block} bytes a block, where a state has {STATE}");
    }
}
