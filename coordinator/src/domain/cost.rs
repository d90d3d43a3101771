//! What attempts cost, as their workers report it: the protocol's numbers, which mean the same in reports, in the store and for users.

pub use tinysweep_proto::v1::Cost;

/// The most seconds by the clock, some thirty years; and the most of all devices together.
const SECONDS_LIMIT: f64 = 1e9;
const DEVICE_SECONDS_LIMIT: f64 = 1e12;
/// The most steps, samples and answers: as many as can be added up over a million attempts.
const COUNT_LIMIT: u64 = 1_000_000_000_000;
/// The most operations. The largest models so far took 10²⁶.
const FLOPS_LIMIT: f64 = 1e30;
/// 1 PiB.
const MEMORY_LIMIT_BYTES: u64 = 1 << 50;
/// What a power station gives in a few weeks.
const JOULES_LIMIT: f64 = 1e15;

/// Whether an attempt can have cost this.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check(cost: &Cost) -> Result<(), String> {
    for (name, value, limit) in [
        ("wall_seconds", cost.wall_seconds, SECONDS_LIMIT),
        ("device_seconds", cost.device_seconds, DEVICE_SECONDS_LIMIT),
        ("training_seconds", cost.training_seconds, SECONDS_LIMIT),
        ("flops", cost.flops, FLOPS_LIMIT),
        ("joules", cost.joules, JOULES_LIMIT),
    ] {
        if !(0.0..=limit).contains(&value) {
            return Err(format!("{name} is {value}, and not 0 to {limit:e}"));
        }
    }
    for (name, count, limit) in [
        ("steps", cost.steps, COUNT_LIMIT),
        ("samples", cost.samples, COUNT_LIMIT),
        ("answered", cost.answered, COUNT_LIMIT),
        ("peak_memory_bytes", cost.peak_memory_bytes, MEMORY_LIMIT_BYTES),
    ] {
        if count > limit {
            return Err(format!("{name} is {count}, of {limit} at the most"));
        }
    }
    if cost.joules_estimated != 0.0 && cost.joules_estimated != cost.joules {
        return Err(format!("joules_estimated is {}, and neither 0 nor the {} joules", cost.joules_estimated, cost.joules));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_attempt_can_have_cost() {
        let good = Cost { wall_seconds: 2.0, device_seconds: 1.9, joules: 19.0, joules_estimated: 19.0, ..Cost::default() };
        assert_eq!((check(&good), check(&Cost::default())), (Ok(()), Ok(())));
        let problem = |change: fn(&mut Cost)| {
            let mut cost = good;
            change(&mut cost);
            check(&cost).unwrap_err()
        };
        assert_eq!(problem(|cost| cost.wall_seconds = -1.0), "wall_seconds is -1, and not 0 to 1e9");
        assert_eq!(problem(|cost| cost.device_seconds = f64::NAN), "device_seconds is NaN, and not 0 to 1e12");
        assert_eq!(problem(|cost| cost.training_seconds = f64::INFINITY), "training_seconds is inf, and not 0 to 1e9");
        assert_eq!(problem(|cost| cost.flops = 1e31), "flops is 10000000000000000000000000000000, and not 0 to 1e30");
        assert_eq!(problem(|cost| cost.joules = 2e15), "joules is 2000000000000000, and not 0 to 1e15");
        assert_eq!(problem(|cost| cost.steps = u64::MAX), format!("steps is {}, of 1000000000000 at the most", u64::MAX));
        assert_eq!(
            problem(|cost| cost.peak_memory_bytes = 1 << 51),
            format!("peak_memory_bytes is {}, of {} at the most", 1_u64 << 51, 1_u64 << 50)
        );
        assert_eq!(problem(|cost| cost.joules_estimated = 7.0), "joules_estimated is 7, and neither 0 nor the 19 joules");
        assert!(problem(|cost| cost.joules_estimated = f64::NAN).contains("NaN"));
    }
}
