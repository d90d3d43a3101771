//! The index of those with room says what a look at everyone would.

use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1000;

/// What happens to a fleet.
#[derive(Clone, Debug)]
enum Event {
    Join { slots: u32, taken: u32 },
    Leave,
    Drain,
    Judge { until_ms: i64 },
    Take(u32),
    Free(u32),
    Count(HashMap<WorkerId, u32>),
}

fn id(index: u8) -> WorkerId {
    WorkerId::parse(&format!("w{index}")).unwrap()
}

fn apply(fleet: &mut Fleet, id: &WorkerId, event: Event) {
    match event {
        Event::Join { slots, taken } => fleet.join(id, Member { slots, ..Member::default() }, taken),
        Event::Leave => fleet.leave(id),
        Event::Drain => fleet.change(id, |member| member.drains = true),
        Event::Judge { until_ms } => fleet.change(id, |member| member.health = Health { quarantines: 1, until_ms, ..Health::default() }),
        Event::Take(slots) => fleet.take(id, slots),
        Event::Free(slots) => fleet.free(id, slots),
        Event::Count(taken) => fleet.count(&taken),
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..4_u32, 0..5_u32).prop_map(|(slots, taken)| Event::Join { slots, taken }),
        1 => Just(Event::Leave),
        1 => Just(Event::Drain),
        2 => (NOW_MS - 1..NOW_MS + 2).prop_map(|until_ms| Event::Judge { until_ms }),
        4 => (0..3_u32).prop_map(Event::Take),
        4 => (0..3_u32).prop_map(Event::Free),
        1 => proptest::collection::hash_map((0..5_u8).prop_map(id), 0..5_u32, 0..4).prop_map(Event::Count),
    ]
}

proptest! {
    /// After any events, those available are those of all that have room, and the one of which something ends, in the order of their ids;
    /// and whoever is not available counts as an elsewhere all the same.
    #[test]
    fn available_are_all_with_room(events in proptest::collection::vec(((0..5_u8).prop_map(id), any_event()), 0..60), ending in (0..5_u8).prop_map(id)) {
        let mut fleet = Fleet::default();
        for (id, event) in events {
            apply(&mut fleet, &id, event);
            let loads = fleet.loads(NOW_MS);
            let with_room: Vec<_> = loads.iter().filter(|load| load.free() > 0).cloned().collect();
            prop_assert_eq!(&fleet.available(None, NOW_MS).workers, &with_room);
            prop_assert_eq!(fleet.size(), loads.len());

            let is_given = |load: &&WorkerLoad| load.withheld.is_none() && (load.free() > 0 || load.id == ending);
            let expected: Vec<_> = loads.iter().filter(is_given).cloned().collect();
            let mut available = fleet.available(Some(&ending), NOW_MS);
            available.workers.sort_by(|a, b| a.id.cmp(&b.id));
            prop_assert_eq!(&available.workers, &expected);

            let runs = |load: &WorkerLoad| load.id != ending && load.withheld.is_none() && Needs::default().met_by(&load.traits, load.slots).is_ok();
            prop_assert_eq!(available.is_elsewhere(&Needs::default(), std::slice::from_ref(&ending)), loads.iter().any(runs));
        }
    }
}

#[test]
fn a_result_frees_what_it_took() {
    let (a, b) = (id(0), id(1));
    let mut fleet = Fleet::default();
    fleet.join(&a, Member { slots: 2, ..Member::default() }, 2);
    fleet.join(&b, Member { slots: 4, ..Member::default() }, 3);
    let mut available = fleet.available(Some(&a), NOW_MS);
    assert_eq!((available.slots(), available.slots_with_all_of(&a)), (1, 3));
    available.free(&a, 1);
    assert_eq!(available.slots(), 2);
    fleet.free(&a, 1);
    assert_eq!(fleet.available(None, NOW_MS).workers, available.workers.iter().rev().cloned().collect::<Vec<_>>(), "as the fleet has it");
}
