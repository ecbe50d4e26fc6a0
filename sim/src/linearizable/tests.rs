use super::{
    Input::{Compare, Delete, Get, Put},
    Operation,
    Output::{Done, Refused, Value},
    *,
};
use madsim::rand::{Rng, seq::SliceRandom, thread_rng};

type Op = Operation<u64>;

fn op(from: u64, to: u64, input: Input<u64>, output: Output<u64>) -> Op {
    let at = Duration::from_millis;
    Operation {
        input,
        invoked: at(from),
        completed: Some((at(to), output)),
    }
}

fn lost(from: u64, input: Input<u64>) -> Op {
    Operation {
        input,
        invoked: Duration::from_millis(from),
        completed: None,
    }
}

fn create(value: u64) -> Input<u64> {
    Compare {
        expected: None,
        new: Some(value),
    }
}

#[track_caller]
fn good(history: &[Op]) {
    if let Err(violation) = check(None, history) {
        panic!("{violation}");
    }
}

#[track_caller]
fn bad(history: &[Op]) {
    assert!(check(None, history).is_err(), "a violation went unnoticed");
}

#[test]
fn a_sequence_is_checked_like_a_variable() {
    good(&[]);
    good(&[
        op(0, 1, Get, Value(None)),
        op(2, 3, Put(1), Done),
        op(4, 5, Get, Value(Some(1))),
    ]);
    good(&[
        op(0, 1, Put(1), Done),
        op(2, 3, Delete, Done),
        op(4, 5, Get, Value(None)),
    ]);
    bad(&[op(0, 1, Get, Value(Some(1)))]);
    bad(&[op(0, 1, Put(1), Refused)]);
    assert!(check(Some(7), &[op(0, 1, Get, Value(Some(7)))]).is_ok());
}

#[test]
fn canary_stale_read() {
    bad(&[
        op(0, 1, Put(1), Done),
        op(2, 3, Put(2), Done),
        op(4, 5, Get, Value(Some(1))),
    ]);
    // Two reads during one write must not see the new value and then the old one.
    let write = op(10, 20, Put(2), Done);
    let first = op(0, 1, Put(1), Done);
    good(&[
        first.clone(),
        write.clone(),
        op(11, 12, Get, Value(Some(1))),
        op(13, 14, Get, Value(Some(2))),
    ]);
    bad(&[
        first,
        write,
        op(11, 12, Get, Value(Some(2))),
        op(13, 14, Get, Value(Some(1))),
    ]);
}

#[test]
fn canary_lost_write() {
    bad(&[op(0, 1, Put(1), Done), op(2, 3, Get, Value(None))]);
    bad(&[
        op(0, 1, Put(1), Done),
        op(2, 3, Delete, Done),
        op(4, 5, Get, Value(Some(1))),
    ]);
}

#[test]
fn canary_split_create_only() {
    bad(&[op(0, 10, create(1), Done), op(5, 15, create(2), Done)]);
    good(&[op(0, 10, create(1), Done), op(5, 15, create(2), Refused)]);
    good(&[
        op(0, 10, create(1), Done),
        op(3, 6, Delete, Done),
        op(5, 15, create(2), Done),
    ]);
    // Refused although there was never a value.
    bad(&[op(0, 1, create(1), Refused)]);
}

#[test]
fn canary_split_compare() {
    let swap = |new| Compare {
        expected: Some(1),
        new: Some(new),
    };
    let start = op(0, 1, Put(1), Done);
    bad(&[start.clone(), op(2, 9, swap(2), Done), op(3, 8, swap(3), Done)]);
    good(&[
        start.clone(),
        op(2, 9, swap(2), Done),
        op(3, 8, swap(3), Refused),
        op(10, 11, Get, Value(Some(2))),
    ]);
    bad(&[start.clone(), op(2, 3, swap(2), Refused)]);
    let remove = Compare {
        expected: Some(1),
        new: None,
    };
    good(&[start, op(2, 3, remove, Done), op(4, 5, Get, Value(None))]);
}

#[test]
fn an_ambiguous_write_takes_effect_once_late_or_never() {
    good(&[
        lost(0, Put(1)),
        op(10, 11, Get, Value(None)),
        op(12, 13, Get, Value(Some(1))),
    ]);
    good(&[
        lost(0, Put(1)),
        op(10, 11, Get, Value(None)),
        op(12, 13, Get, Value(None)),
    ]);
    // Seen, then absent without a delete.
    bad(&[
        lost(0, Put(1)),
        op(10, 11, Get, Value(Some(1))),
        op(12, 13, Get, Value(None)),
    ]);
    // Seen before the write began.
    bad(&[op(0, 1, Get, Value(Some(1))), lost(2, Put(1))]);
    // The ambiguous write explains the refusal.
    good(&[lost(0, Put(1)), op(2, 3, create(2), Refused)]);
    good(&[op(0, 1, Put(1), Done), lost(2, Delete), op(4, 5, Get, Value(None))]);
    good(&[
        lost(0, create(1)),
        op(2, 3, create(2), Done),
        op(4, 5, Get, Value(Some(2))),
    ]);
    bad(&[
        lost(0, create(1)),
        op(2, 3, create(2), Done),
        op(4, 5, Get, Value(Some(1))),
    ]);
    good(&[lost(0, Get), op(2, 3, Get, Value(None))]);
}

#[test]
fn operations_that_meet_in_one_instant_are_concurrent() {
    good(&[
        op(0, 5, Put(1), Done),
        op(5, 6, Get, Value(None)),
        op(7, 8, Get, Value(Some(1))),
    ]);
}

#[test]
fn a_violation_shows_the_history_and_how_far_it_goes() {
    let history = [op(2, 3, Get, Value(None)), op(0, 1, Put(1), Done), lost(4, Delete)];
    let violation = check(None, &history).expect_err("a lost write");
    assert_eq!(violation.longest, [0]);
    let text = violation.to_string();
    assert!(
        text.contains("1        0.000000       1.000000  Put(1) → Done"),
        "{text}"
    );
    assert!(
        text.contains("-        2.000000       3.000000  Get → Value(None)"),
        "{text}"
    );
    assert!(text.contains("Delete → unknown"), "{text}");
}

#[test]
fn a_recorder_keeps_keys_apart() {
    let recorder = Recorder::default();
    let at = Duration::from_millis;
    let put = recorder.invoke("a", at(0), Put(1));
    let get = recorder.invoke("b", at(1), Get);
    recorder.complete(&put, at(2), Done);
    recorder.complete(&get, at(3), Value(None));
    assert!(recorder.check().is_ok());
    let get = recorder.invoke("a", at(4), Get);
    recorder.complete(&get, at(5), Value(None));
    assert_eq!(recorder.check().expect_err("a lost write").0, "a");
}

/// Generates a history of a correct register: each operation takes effect at a random moment between call and answer.
/// Some of the answers are lost.
fn history_of_a_register(clients: usize, operations: usize) -> Vec<Op> {
    let mut rng = thread_rng();
    let (mut value, mut now, mut history) = (None, 0, Vec::<Op>::new());
    // Per client: its current operation, and the answer once it has taken effect.
    let mut busy: Vec<Option<(usize, Option<Output<u64>>)>> = vec![None; clients];
    while history.len() < operations || busy.iter().any(Option::is_some) {
        now += 1;
        let client = rng.gen_range(0..clients);
        match busy[client].take() {
            None if history.len() < operations => {
                let new = rng.gen_range(0..1000);
                let input = match rng.gen_range(0..10) {
                    0..4 => Get,
                    4..7 => Put(new),
                    7 => Delete,
                    8 => create(new),
                    _ => Compare {
                        expected: value,
                        new: Some(new),
                    },
                };
                history.push(lost(now, input));
                busy[client] = Some((history.len() - 1, None));
            }
            None => {}
            Some((n, None)) => busy[client] = Some((n, Some(take_effect(&mut value, &history[n].input)))),
            Some((_, Some(_))) if rng.gen_ratio(1, 10) => {}
            Some((n, Some(output))) => history[n].completed = Some((Duration::from_millis(now), output)),
        }
    }
    history
}

fn take_effect(value: &mut Option<u64>, input: &Input<u64>) -> Output<u64> {
    match input {
        Get => return Value(*value),
        Put(new) => *value = Some(*new),
        Delete => *value = None,
        Compare { expected, new } if expected == value => *value = *new,
        Compare { .. } => return Refused,
    }
    Done
}

// `sim.checker-agrees`
#[test]
fn histories_of_a_true_register_pass_and_corrupted_ones_mostly_fail() {
    let limit = Duration::from_secs(1);
    let run = crate::run::simulate(1, limit, |_| async {
        let mut noticed = 0;
        for _ in 0..200 {
            let mut history = history_of_a_register(8, 60);
            good(&history);
            // Corruption: one get returns a value that only another get saw, which is usually impossible.
            let reads = |op: &&mut Op| op.input == Get && op.completed.is_some();
            let mut reads: Vec<&mut Op> = history.iter_mut().filter(reads).collect();
            reads.shuffle(&mut thread_rng());
            let [a, b, ..] = &mut reads[..] else { continue };
            std::mem::swap(
                &mut a.completed.as_mut().expect("answered").1,
                &mut b.completed.as_mut().expect("answered").1,
            );
            noticed += usize::from(check(None, &history).is_err());
        }
        assert!(noticed > 100, "{noticed} of 200 noticed");
    });
    run.expect("the run");
}

#[test]
fn a_long_history_is_checked_without_recursion() {
    let run = crate::run::simulate(2, Duration::from_secs(1), |_| async {
        good(&history_of_a_register(4, 3000));
    });
    run.expect("the run");
}

/// Compares small histories with random answers with a search through all orders.
#[test]
fn the_search_agrees_with_trying_every_order() {
    let run = crate::run::simulate(3, Duration::from_secs(1), |_| async {
        let mut verdicts = [0, 0];
        for _ in 0..20_000 {
            let history: Vec<Op> = (0..thread_rng().gen_range(1..6)).map(|_| random_operation()).collect();
            let fits = tries_every_order(None, &mut history.clone());
            assert_eq!(check(None, &history).is_ok(), fits, "{history:?}");
            verdicts[usize::from(fits)] += 1;
        }
        assert!(verdicts.iter().all(|count| *count > 2000), "one-sided: {verdicts:?}");
    });
    run.expect("the run");
}

fn random_operation() -> Op {
    let mut rng = thread_rng();
    let value = |rng: &mut madsim::rand::GlobalRng| (1..3).nth(rng.gen_range(0..3));
    let input = match rng.gen_range(0..5) {
        0 | 1 => Get,
        2 => Put(rng.gen_range(1..3)),
        3 => Delete,
        _ => Compare {
            expected: value(&mut rng),
            new: value(&mut rng),
        },
    };
    let output = match &input {
        Get => Value(value(&mut rng)),
        Compare { .. } if rng.gen_bool(0.5) => Refused,
        _ => Done,
    };
    let from = rng.gen_range(0..20);
    if rng.gen_ratio(1, 5) {
        lost(from, input)
    } else {
        op(from, from + rng.gen_range(0..10), input, output)
    }
}

/// Returns whether any order of the operations explains the answers; `left` are those not placed yet.
fn tries_every_order(value: Option<u64>, left: &mut Vec<Op>) -> bool {
    let Some(deadline) = left
        .iter()
        .filter_map(|op| op.completed.as_ref().map(|(at, _)| *at))
        .min()
    else {
        return true;
    };
    (0..left.len()).any(|n| {
        let op = left.remove(n);
        let mut after = value;
        let output = take_effect(&mut after, &op.input);
        let fits = op.invoked <= deadline && op.completed.as_ref().is_none_or(|(_, told)| *told == output);
        let found = fits && tries_every_order(after, left);
        left.insert(n, op);
        found
    })
}

#[test]
fn a_violation_is_found_without_trying_every_order() {
    let run = crate::run::simulate(4, Duration::from_secs(1), |_| async {
        for _ in 0..100 {
            let mut history = history_of_a_register(8, 60);
            let read = history.iter().rposition(|op| op.input == Get && op.completed.is_some());
            let answer = history[read.expect("a read")].completed.as_mut().expect("answered");
            answer.1 = Value(Some(5000));
            let mut search = Search::new(None, &history);
            assert!(!search.run());
            assert!(search.visited.len() < 50_000, "{} configurations", search.visited.len());
        }
    });
    run.expect("the run");
}
