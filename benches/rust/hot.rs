//! One hot call, so many times: `hot <case> <n>`, run under callgrind by `benches/instructions.py`.
//!
//! Every case goes through 1,024 inputs in turn (puts: 8,192); the loop itself takes some six instructions a call, which are counted.

use std::hint::black_box;
use std::sync::Arc;

use fastcascade::eviction::PolicyName;
use fastcascade::front::Decision;
use fastcascade::ids::Nanos;
use fastcascade::key;
use fastcascade::method::MethodSet;
use fastcascade::path::{PathPolicy, normalize};
use fastcascade::text::{TextPolicy, fold};

mod inputs;

use inputs::{TURN, World};

type Case = (&'static str, fn(usize));

/// Every case by its name.
const CASES: [Case; 20] = [
    ("empty", |calls| turn(calls, &numbers(), |_| ())),
    ("exact", exact),
    ("tree", tree),
    ("tree_hostile_64", |calls| tree_hostile(calls, 64)),
    ("tree_hostile_128", |calls| tree_hostile(calls, 128)),
    ("pattern10", |calls| pattern(calls, 10)),
    ("pattern100", |calls| pattern(calls, 100)),
    ("pattern1000", |calls| pattern(calls, 1000)),
    ("cache_hit", |calls| cache_hit(calls, PolicyName::Lru, None)),
    ("cache_hit_ttl", |calls| cache_hit(calls, PolicyName::Lru, Some(Nanos(1 << 40)))),
    ("cache_hit_adaptive", |calls| cache_hit(calls, PolicyName::Adaptive, None)),
    ("cache_put", |calls| cache_put(calls, PolicyName::Lru)),
    ("cache_put_adaptive", |calls| cache_put(calls, PolicyName::Adaptive)),
    ("admit", admit),
    ("identify", identify),
    ("take_hit", |calls| take(calls, true)),
    ("take_routed", |calls| take(calls, false)),
    ("normalize_path", normalize_path),
    ("fold_text", fold_text),
    ("digest", digest),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, calls) = match arguments.as_slice() {
        [list] if list == "--list" => return CASES.iter().for_each(|(name, _)| println!("{name}")),
        [name, calls] => (name, calls.parse().expect("the second argument is a number of calls")),
        _ => panic!("hot <case> <calls>, or hot --list"),
    };
    let case = CASES.iter().find(|(known, _)| known == name);
    case.unwrap_or_else(|| panic!("no case {name:?}; see hot --list")).1(calls);
}

/// Call so many times, with each input in turn.
fn turn<I, R>(calls: usize, inputs: &[I], mut call: impl FnMut(&I) -> R) {
    assert!(inputs.len().is_power_of_two(), "so that the next input is had by a mask");
    for at in 0..calls {
        black_box(call(black_box(&inputs[at & (inputs.len() - 1)])));
    }
}

fn numbers() -> Vec<usize> {
    let mut dice = inputs::Dice::new();
    (0..TURN).map(|_| dice.below(1000)).collect()
}

fn exact(calls: usize) {
    let table = inputs::static_table(1000);
    let paths: Vec<String> = numbers().into_iter().map(inputs::static_path).collect();
    turn(calls, &paths, |path| table.find(path, MethodSet::GET));
}

fn tree(calls: usize) {
    let templates = inputs::templates();
    let table = inputs::table(templates.iter().cloned());
    turn(calls, &inputs::paths_of(&templates), |path| table.find(path, MethodSet::GET));
}

/// Paths in which every end of every param looks right until the last byte: twice the length may take
/// about twice the count, and not four times.
fn tree_hostile(calls: usize, length: usize) {
    let table = inputs::table(["/{a}-{b}/{c}-{d}/{e}-{f}/x".to_owned()].into_iter());
    let dashes = "-".repeat(length / 4);
    let paths = vec![format!("/{dashes}/{dashes}/{dashes}/y"); TURN];
    turn(calls, &paths, |path| table.find(path, MethodSet::GET));
}

fn pattern(calls: usize, count: usize) {
    let set = inputs::patterns(count);
    turn(calls, &inputs::agents(count), |agent| set.first(agent));
}

fn cache_hit(calls: usize, policy: PolicyName, ttl: Option<Nanos>) {
    let mut cache = inputs::full_cache(1000, policy, ttl);
    let keys: Vec<_> = numbers().into_iter().map(inputs::cache_key).collect();
    turn(calls, &keys, |key| cache.get(*key, || Nanos(1), |value| *value));
}

/// Each put is new and evicts: there are eight times as many keys as places. Whom the adaptive policy keeps depends on
/// hashes, so there are more keys than elsewhere, over which that evens out.
fn cache_put(calls: usize, policy: PolicyName) {
    let mut cache = inputs::full_cache(TURN, policy, None);
    let keys: Vec<_> = (0..TURN * 8).map(inputs::cache_key).collect();
    turn(calls, &keys, |key| cache.put(*key, 1, (None, 1), [], || Nanos(1)));
}

fn admit(calls: usize) {
    let (limiter, clients) = inputs::limiter(TURN);
    turn(calls, &clients, |client| limiter.admit(*client, 1.0, Nanos(2)));
}

fn identify(calls: usize) {
    let ring = inputs::ring(1000);
    let secrets: Vec<String> = numbers().into_iter().map(inputs::secret).collect();
    turn(calls, &secrets, |secret| ring.identify(secret.as_bytes(), || Nanos(1), |identity, _| Arc::clone(identity)));
}

fn take(calls: usize, hit: bool) {
    let world = World::new();
    let front = world.front();
    let static_paths = numbers().into_iter().map(inputs::static_path);
    let paths = if hit { static_paths.collect() } else { inputs::paths_of(&inputs::templates()) };
    let asks: Vec<_> = paths.iter().enumerate().map(|(number, path)| world.ask(number, path)).collect();
    for ask in asks.iter().filter(|_| hit) {
        if let (Decision::Routed { key: Some(key), .. }, _) = front.take(*ask, |value| *value, Arc::clone) {
            let _ = world.cache.lock().put(key, 1, (None, 1), [], || Nanos(0));
        }
    }
    turn(calls, &asks, |ask| matches!(front.take(*ask, |value| *value, Arc::clone).0, Decision::Hit(_)));
}

fn normalize_path(calls: usize) {
    let (policy, mut paths) = (PathPolicy::default(), inputs::paths_of(&inputs::templates()));
    // One in eight is not in form.
    paths.iter_mut().step_by(8).for_each(|path| path.insert_str(1, "a/../%7e/"));
    turn(calls, &paths, |path| normalize(path, &policy).is_ok());
}

fn fold_text(calls: usize) {
    let (policy, mut dice) = (TextPolicy::default(), inputs::Dice::new());
    let words = ["reset", "My", "password", "please,", "Straße", "42", " "];
    let mut text = || (0..8).map(|_| words[dice.below(words.len())]).collect::<Vec<_>>().join(" ");
    let texts: Vec<String> = (0..TURN).map(|_| text()).collect();
    turn(calls, &texts, |text| fold(text, &policy).len());
}

fn digest(calls: usize) {
    turn(calls, &inputs::paths_of(&inputs::templates()), |path| key::text(path));
}
