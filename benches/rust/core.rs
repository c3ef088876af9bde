//! How long the core's calls take, one group for each structure: `cargo bench --bench core -- exact`.
//!
//! One iteration is a turn of 1,024 inputs, so that neither the timer nor a lucky branch is what is measured; divide by
//! it, or read the line of items a second. Inputs are chosen beforehand and differ from call to call.

use std::hint::black_box;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use fastcascade::eviction::PolicyName;
use fastcascade::front::Decision;
use fastcascade::ids::Nanos;
use fastcascade::key;
use fastcascade::method::MethodSet;

#[allow(dead_code)] // some inputs are for the instruction counts alone
mod inputs;

use inputs::{Dice, TURN, World};

fn main() {
    divan::main();
}

/// Time a call with each of the inputs in turn.
fn turn<I, R>(bencher: Bencher<'_, '_>, inputs: &[I], mut call: impl FnMut(&I) -> R) {
    bencher.counter(ItemsCount::new(inputs.len())).bench_local(|| {
        for input in inputs {
            black_box(call(black_box(input)));
        }
    });
}

/// So many numbers below a bound, in no order.
fn numbers(bound: usize) -> impl Iterator<Item = usize> {
    let mut dice = Dice::new();
    (0..TURN).map(move |_| dice.below(bound))
}

#[divan::bench(args = [100, 10_000, 1_000_000])]
fn exact(bencher: Bencher<'_, '_>, routes: usize) {
    let table = inputs::static_table(routes);
    let paths: Vec<String> = numbers(routes).map(inputs::static_path).collect();
    turn(bencher, &paths, |path| table.find(path, MethodSet::GET));
}

mod tree {
    use super::{Bencher, MethodSet, inputs, turn};

    #[divan::bench]
    fn built_in(bencher: Bencher<'_, '_>) {
        of(bencher, &inputs::templates());
    }

    /// The public table of GitHub's routes, where there is a data folder (`FASTCASCADE_DATA`, or beside the checkout).
    #[divan::bench]
    fn github(bencher: Bencher<'_, '_>) {
        let folder = std::env::var("FASTCASCADE_DATA").unwrap_or_else(|_| "../shared/data".to_owned());
        let Ok(text) = std::fs::read_to_string(format!("{folder}/routes/github.txt")) else {
            return eprintln!("no routes/github.txt in {folder}: set FASTCASCADE_DATA");
        };
        let mut templates: Vec<String> =
            text.lines().filter_map(|line| line.split_once(' ')).map(|(_, path)| path.to_owned()).collect();
        templates.sort_unstable();
        templates.dedup();
        of(bencher, &templates);
    }

    fn of(bencher: Bencher<'_, '_>, templates: &[String]) {
        let table = inputs::table(templates.iter().cloned());
        let paths = inputs::paths_of(templates);
        assert!(paths.iter().all(|path| table.find(path, MethodSet::GET).is_some()), "every path is some route's");
        turn(bencher, &paths, |path| table.find(path, MethodSet::GET));
    }
}

#[divan::bench(args = [10, 100, 1000])]
fn patterns(bencher: Bencher<'_, '_>, count: usize) {
    let set = inputs::patterns(count);
    turn(bencher, &inputs::agents(count), |agent| set.first(agent));
}

mod cache {
    use super::{Bencher, Nanos, PolicyName, TURN, inputs, numbers, turn};

    const SIZES: [(&str, usize); 4] = [("lru", 1000), ("lru", 100_000), ("adaptive", 1000), ("adaptive", 100_000)];

    fn policy(name: &str) -> PolicyName {
        PolicyName::from_name(name).expect("it is a policy")
    }

    #[divan::bench(args = SIZES)]
    fn hit(bencher: Bencher<'_, '_>, (name, places): (&str, usize)) {
        let mut cache = inputs::full_cache(places, policy(name), None);
        let keys: Vec<_> = numbers(places).map(inputs::cache_key).collect();
        turn(bencher, &keys, |key| cache.get(*key, || Nanos(1), |value| *value));
    }

    #[divan::bench(args = ["lru", "adaptive"])]
    fn put(bencher: Bencher<'_, '_>, name: &str) {
        let mut cache = inputs::full_cache(TURN / 8, policy(name), None);
        let keys: Vec<_> = (0..TURN).map(inputs::cache_key).collect();
        turn(bencher, &keys, |key| cache.put(*key, 1, (None, 1), [], || Nanos(1)));
    }
}

#[divan::bench]
fn bucket(bencher: Bencher<'_, '_>) {
    let (limiter, clients) = inputs::limiter(10_000);
    let clients: Vec<_> = numbers(clients.len()).map(|client| clients[client]).collect();
    let mut now = 1;
    turn(bencher, &clients, |client| {
        now += 1_000_000;
        limiter.admit(*client, 1.0, Nanos(now))
    });
}

#[divan::bench(args = [10, 10_000])]
fn keyring(bencher: Bencher<'_, '_>, secrets: usize) {
    let ring = inputs::ring(secrets);
    let secrets: Vec<String> = numbers(secrets).map(inputs::secret).collect();
    turn(bencher, &secrets, |secret| ring.identify(secret.as_bytes(), || Nanos(1), |identity, _| Arc::clone(identity)));
}

#[divan::bench]
fn digest(bencher: Bencher<'_, '_>) {
    turn(bencher, &inputs::paths_of(&inputs::templates()), |path| key::text(path));
}

#[divan::bench(args = ["hit", "routed"])]
fn front(bencher: Bencher<'_, '_>, end: &str) {
    let world = World::new();
    let front = world.front();
    let static_paths = numbers(1000).map(inputs::static_path);
    let paths = if end == "hit" { static_paths.collect() } else { inputs::paths_of(&inputs::templates()) };
    let asks: Vec<_> = paths.iter().enumerate().map(|(number, path)| world.ask(number, path)).collect();
    for ask in asks.iter().filter(|_| end == "hit") {
        if let (Decision::Routed { key: Some(key), .. }, _) = front.take(*ask, |value| *value, Arc::clone) {
            let _ = world.cache.lock().put(key, 1, (None, 1), [], || Nanos(0));
        }
    }
    turn(bencher, &asks, |ask| matches!(front.take(*ask, |value| *value, Arc::clone).0, Decision::Hit(_)));
}
