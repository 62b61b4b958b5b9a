//! Who goes with whom, and when.

use futures::future::join_all;
use proptest::prelude::*;
use std::collections::BTreeSet;
use tokio::sync::Semaphore;

use super::*;

const SHAPE: Shape =
    Shape { lanes: 1, crowd: 0, patience: Duration::from_secs(3600), gather: Duration::ZERO, batch: 4, waiting: 8 };

/// Answers each item with itself and the batch it was in; goes on when `gate` lets it.
fn numbered(shape: Shape, gate: Arc<Semaphore>) -> Coalescer<u32, (u32, Vec<u32>)> {
    Coalescer::new(
        "test",
        shape,
        || async {}.boxed(),
        move |(), items: Vec<u32>| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.expect("never closed").forget();
                assert!(!items.contains(&666), "an item that brings its batch down");
                items.iter().map(|item| (*item, items.clone())).collect()
            }
            .boxed()
        },
    )
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_comes_meanwhile_goes_together_in_order_and_bounded() {
    let gate = Arc::new(Semaphore::new(0));
    let queue = numbered(SHAPE, gate.clone());
    let ask = |n: u32| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.run(Keys::default(), n).await })
    };
    let first = ask(0);
    settle().await;
    let others: Vec<_> = (1..7).map(ask).collect();
    settle().await;
    gate.add_permits(3);
    let answers: Vec<_> = join_all([first].into_iter().chain(others)).await;
    let batches: Vec<(u32, Vec<u32>)> = answers.into_iter().map(|a| a.unwrap().unwrap()).collect();
    assert_eq!(batches[0], (0, vec![0]));
    (1..5).for_each(|n| assert_eq!(batches[n as usize], (n, vec![1, 2, 3, 4])));
    (5..7).for_each(|n| assert_eq!(batches[n as usize], (n, vec![5, 6])));
}

#[tokio::test]
async fn who_comes_while_a_batch_is_made_ready_goes_along() {
    let gate = Arc::new(Semaphore::new(0));
    let (opens, panics) = (gate.clone(), Arc::new(Semaphore::new(0)));
    let fails = panics.clone();
    let ready = move || {
        let (gate, fails) = (opens.clone(), fails.clone());
        async move {
            gate.acquire().await.expect("never closed").forget();
            assert!(fails.try_acquire().is_err(), "it cannot be made ready");
        }
        .boxed()
    };
    let work = |(), items: Vec<u32>| async move { vec![items.len(); items.len()] }.boxed();
    let queue = Coalescer::new("test", SHAPE, ready, work);
    let ask = |n: u32| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.run(Keys::default(), n).await })
    };
    let mut asked = Vec::new();
    for n in 0..3 {
        asked.push(ask(n));
        settle().await;
    }
    gate.add_permits(1);
    assert!(join_all(asked).await.into_iter().all(|answer| answer.unwrap() == Ok(3)));
    panics.add_permits(1);
    gate.add_permits(2);
    assert_eq!(queue.run(Keys::default(), 3).await, Err(Refused::Lost));
    settle().await;
    panics.acquire().await.unwrap().forget();
    assert_eq!(queue.run(Keys::default(), 4).await, Ok(1), "the queue goes on");
}

#[tokio::test]
async fn beyond_its_bound_it_takes_no_more() {
    let gate = Arc::new(Semaphore::new(0));
    let queue = numbered(SHAPE, gate.clone());
    let mut asked = Vec::new();
    for n in 0..9 {
        let queue = queue.clone();
        asked.push(tokio::spawn(async move { queue.run(Keys::default(), n).await }));
        settle().await;
    }
    assert_eq!(queue.run(Keys::default(), 10).now_or_never(), Some(Err(Refused::Full)));
    gate.add_permits(100);
    for (n, asked) in (0..).zip(asked) {
        assert_eq!(asked.await.unwrap().unwrap().0, n);
    }
}

#[tokio::test]
async fn who_is_in_nobodys_way_passes_those_who_wait_for_a_batch() {
    let gate = Arc::new(Semaphore::new(0));
    let queue = numbered(Shape { lanes: 2, ..SHAPE }, gate.clone());
    let mut asked = Vec::new();
    // The first has A; the second waits for it, and the third for the second.
    for (n, keys) in [(0, ["A", "-"]), (1, ["A", "B"]), (2, ["B", "C"]), (3, ["D", "E"])] {
        let queue = queue.clone();
        asked.push(tokio::spawn(async move { queue.run(Keys::of(keys), n).await }));
        settle().await;
    }
    gate.add_permits(3);
    let mut batches = Vec::new();
    for asked in asked {
        batches.push(asked.await.expect("no panic").expect("there is room").1);
    }
    assert_eq!(batches, [vec![0], vec![1, 2], vec![1, 2], vec![3]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is asked for: batches at work share no key, and who shares one with another is served in the order of arrival.
    #[test]
    fn no_batch_waits_for_another_and_nobody_is_overtaken(
        asked in prop::collection::vec((prop::collection::btree_set(0u8..6, 0..4), any::<bool>(), 0usize..4), 1..60),
        lanes in 1usize..4,
        crowd in 0usize..6,
        patience in 0u64..50,
        gather in 0u64..3,
        batch in 1usize..6,
    ) {
        let (patience, gather) = (Duration::from_micros(patience), Duration::from_millis(gather));
        let shape = Shape { lanes, crowd, patience, gather, batch, waiting: 100 };
        let (at_work, done) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (began, ended) = (at_work.clone(), done.clone());
        let queue = Coalescer::new("test", shape, || async {}.boxed(), move |(), items: Vec<(usize, BTreeSet<u8>)>| {
            let (began, ended) = (began.clone(), ended.clone());
            async move {
                let keys: BTreeSet<u8> = items.iter().flat_map(|(_, keys)| keys.clone()).collect();
                let is_free = |others: &BTreeSet<u8>| others.is_disjoint(&keys);
                let (beside, is_alone) = {
                    let mut began = began.lock().expect("nobody panics with it");
                    let seen = (began.len(), began.iter().all(is_free));
                    began.push(keys.clone());
                    seen
                };
                for _ in 0..items[0].0 % 5 {
                    tokio::task::yield_now().await;
                }
                let mut began = began.lock().expect("nobody panics with it");
                let place = began.iter().position(|it| *it == keys).expect("it was added when it began");
                began.swap_remove(place);
                ended.lock().expect("nobody panics with it").extend(items.iter().cloned());
                items.iter().map(|_| beside < lanes && is_alone && items.len() <= batch).collect()
            }
            .boxed()
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime of one thread");
        let answers = runtime.block_on(async {
            let mut answers = Vec::new();
            for (n, (keys, gathers, pause)) in asked.iter().cloned().enumerate() {
                let (queue, named) = (queue.clone(), Keys::of(&keys));
                let named = if gathers { named.gathered() } else { named };
                answers.push(tokio::spawn(async move { queue.run(named, (n, keys)).await }));
                for _ in 0..pause {
                    tokio::task::yield_now().await;
                }
            }
            let answers = join_all(answers).await;
            // Somebody may still be waited for.
            let is_idle = || queue.0.queue().lanes.iter().all(|lane| *lane == Lane::Idle);
            for _ in 0..1000 {
                if is_idle() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            answers
        });
        prop_assert!(answers.into_iter().all(|answer| answer.expect("no panic") == Ok(true)));
        for key in 0..6 {
            let done = done.lock().expect("nobody panics with it");
            let order: Vec<usize> = done.iter().filter(|(_, keys)| keys.contains(&key)).map(|(n, _)| *n).collect();
            prop_assert!(order.is_sorted(), "{key}: {order:?}");
        }
        let queue = queue.0.queue();
        prop_assert!(queue.waiting.is_empty() && queue.held.is_empty() && queue.lanes.iter().all(|lane| *lane == Lane::Idle));
    }
}

/// The first is answered alone while the second waits for the next batch; then there are two.
async fn gathered(gather: Duration, comes_again: bool) -> Vec<(u32, Vec<u32>)> {
    let gate = Arc::new(Semaphore::new(0));
    let queue = numbered(Shape { crowd: 4, gather, ..SHAPE }, gate.clone());
    let ask = |n: u32| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.run(Keys::default(), n).await })
    };
    let first = ask(0);
    settle().await;
    let mut asked = vec![ask(1)];
    settle().await;
    gate.add_permits(2);
    first.await.unwrap().unwrap();
    if comes_again {
        settle().await;
        asked.push(ask(2));
    }
    join_all(asked).await.into_iter().map(|asked| asked.unwrap().unwrap()).collect()
}

#[tokio::test]
async fn who_was_answered_is_waited_for_as_long_as_he_may_come_again() {
    assert_eq!(gathered(Duration::from_secs(3600), true).await, [(1, vec![1, 2]), (2, vec![1, 2])]);
    assert_eq!(gathered(Duration::from_millis(1), false).await, [(1, vec![1])]);
}

#[test]
fn what_is_in_vain_is_tried_less_and_less() {
    let mut gathering = Gathering::default();
    let rests = |gathering: &mut Gathering| {
        gathering.ended(true);
        (0..).take_while(|_| !gathering.is_worth_it()).count()
    };
    let all: Vec<usize> = (0..9).map(|_| rests(&mut gathering)).collect();
    assert_eq!(all, [0, 1, 3, 7, 15, 31, 63, 63, 63]);
    gathering.ended(false);
    assert!(gathering.is_worth_it());
    assert_eq!(rests(&mut gathering), 0);
}

#[tokio::test]
async fn few_wait_for_the_batch_in_work_and_a_crowd_does_not() {
    let gate = Arc::new(Semaphore::new(0));
    let queue = numbered(Shape { lanes: 2, crowd: 4, ..SHAPE }, gate.clone());
    let mut asked = Vec::new();
    // The second and the third wait for the first, and the fourth makes a crowd of them.
    for n in 0..5 {
        let queue = queue.clone();
        asked.push(tokio::spawn(async move { queue.run(Keys::default(), n).await }));
        settle().await;
    }
    gate.add_permits(3);
    let batches = join_all(asked).await.into_iter().map(|asked| asked.expect("no panic").expect("there is room").1);
    assert_eq!(batches.collect::<Vec<_>>(), [vec![0], vec![1, 2, 3], vec![1, 2, 3], vec![1, 2, 3], vec![4]]);
}

#[tokio::test]
async fn nobody_waits_long_for_a_batch_that_is_none_of_his_business() {
    let gate = Arc::new(Semaphore::new(0));
    let shape = Shape { lanes: 2, crowd: 3, patience: Duration::from_millis(1), ..SHAPE };
    let queue = numbered(shape, gate.clone());
    let run = |n| {
        let queue = queue.clone();
        async move { queue.run(Keys::of([n]).gathered(), n).await }
    };
    let first = tokio::spawn(run(1));
    settle().await;
    let second = tokio::spawn(run(2));
    while !queue.0.queue().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    gate.add_permits(2);
    assert_eq!((first.await.unwrap().unwrap().1, second.await.unwrap().unwrap().1), (vec![1], vec![2]));
}

#[tokio::test]
async fn who_leaves_is_carried_out_and_a_panic_ends_its_batch_alone() {
    let gate = Arc::new(Semaphore::new(0));
    let queue = numbered(SHAPE, gate.clone());
    let _ = tokio::time::timeout(Duration::from_millis(10), queue.run(Keys::default(), 1)).await;
    assert_eq!(gate.available_permits(), 0);
    gate.add_permits(1);
    settle().await;
    assert_eq!(gate.available_permits(), 0, "the batch of who left went on");
    gate.add_permits(2);
    assert_eq!(queue.run(Keys::default(), 666).await, Err(Refused::Lost));
    assert_eq!(queue.run(Keys::default(), 2).await.map(|(n, _)| n), Ok(2));
}
