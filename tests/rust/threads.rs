//! Many threads at one structure: no answer is mixed up, none is lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use arc_swap::ArcSwap;
use fastcascade::bucket::{Admission, Limiter, Quota};
use fastcascade::cache::{Cache, Limits, Lookup};
use fastcascade::eviction::PolicyName;
use fastcascade::ids::Nanos;
use fastcascade::key;
use fastcascade::keyring::{Identity, KeyRing};
use fastcascade::method::MethodSet;
use fastcascade::route::{Pattern, Route};
use fastcascade::router::{Normalize, Router};
use parking_lot::Mutex;

const THREADS: u64 = 4;

/// A table of one generation: its targets all say which.
fn table(generation: u64) -> Router<u64> {
    let texts = ["/a", "/u/{id}", "/f/{rest...}", "*"];
    let routes = texts.map(|text| Route::new(Pattern::Text(text.to_owned()), generation));
    let regex =
        Route::new(Pattern::Regex("^/r[0-9]".to_owned(), fastcascade::pattern::PatternFlags::default()), generation);
    Router::build(routes.into_iter().chain([regex]), Normalize::Verbatim).expect("the routes are good")
}

/// While the table is replaced, every reader sees one whole table, and never an older one after a newer.
#[test]
fn tables_are_replaced_whole() {
    let current = Arc::new(ArcSwap::from_pointee(table(0)));
    let stop = AtomicBool::new(false);
    let read = || {
        let mut newest = 0;
        while !stop.load(Ordering::Relaxed) {
            let table = current.load();
            let seen: HashSet<u64> = ["/a", "/u/1", "/f/x/y", "/r7", "/none"]
                .into_iter()
                .map(|path| *table.target(table.find(path, MethodSet::GET).expect("the wildcard takes the rest").route))
                .collect();
            let generation = seen.iter().copied().max().expect("five were found");
            assert!(seen.len() == 1 && generation >= newest, "{seen:?} after {newest}");
            newest = generation;
        }
        newest
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..THREADS).map(|_| scope.spawn(read)).collect();
        (1..=300).for_each(|generation| current.store(Arc::new(table(generation))));
        stop.store(true, Ordering::Relaxed);
        let newest = readers.into_iter().map(|reader| reader.join().expect("no reader panics"));
        assert!(newest.max() <= Some(300));
    });
    assert_eq!(*current.load().target(fastcascade::ids::RouteId(0)), 300);
}

/// However many threads ask at one moment, a client gets its burst and not a token more.
#[test]
fn a_burst_is_shared_exactly() {
    let quota = Quota::new(1.0, Nanos(1_000_000_000), 1000.0).expect("the quota is good");
    let limiter = Limiter::new(quota, 1000);
    let admitted: Vec<AtomicU64> = (0..10).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for ask in 0..10_000usize {
                    let client = ask % admitted.len();
                    if limiter.admit(key::int(client as i64), 1.0, Nanos(1)) == Admission::Admitted {
                        admitted[client].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(admitted.iter().all(|count| count.load(Ordering::Relaxed) == 1000), "{admitted:?}");
    limiter.validate();
}

/// A cache behind its lock gives every thread the value that belongs to the key, and is whole afterwards.
#[test]
fn caches_do_not_mix_values() {
    for policy in PolicyName::ALL {
        let limits = Limits { max_items: 64, max_weight: 200, ttl: Some(Nanos(50)), stale_for: Nanos(10) };
        let cache = Mutex::new(Cache::new(limits, policy));
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let cache = &cache;
                scope.spawn(move || {
                    for step in 0..10_000 {
                        let (key, now) = ((step * 7 + thread * 13) % 100, Nanos(step));
                        let digest = key::int(key as i64);
                        let (found, _) = cache.lock().get(digest, || now, |value| *value);
                        match found {
                            Lookup::Fresh(value) | Lookup::Stale(value) => assert_eq!(value, key),
                            Lookup::Miss => {
                                let tag = (key % 5).to_string();
                                let _ = cache.lock().put(digest, key, (None, key as u32 % 4), [tag.as_str()], || now);
                            }
                        }
                        if step % 1000 == 0 {
                            let gone = cache.lock().invalidate("3");
                            assert!(gone.iter().all(|key| key % 5 == 3), "{gone:?}");
                        }
                    }
                });
            }
        });
        cache.lock().validate();
    }
}

/// While secrets come, go and are rotated, every secret found is found as its own.
#[test]
fn rings_do_not_mix_identities() {
    let ring: KeyRing<Arc<Identity>> = KeyRing::default();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let ring = &ring;
            scope.spawn(move || {
                for step in 0..2_000u64 {
                    let (old, new, name) =
                        (format!("{thread}-{step}"), format!("{thread}-{step}-new"), step.to_string());
                    let identity = Arc::new(Identity::new(&name, None, ["a"]));
                    ring.add(old.as_bytes(), identity, Nanos::NEVER, Nanos(1)).expect("it is new");
                    ring.rotate(old.as_bytes(), new.as_bytes(), Nanos(1), Nanos(1), Arc::clone).expect("it is known");
                    assert!(ring.identify(old.as_bytes(), || Nanos(1), |_, _| ()).is_none(), "{old}");
                    let found = ring.identify(new.as_bytes(), || Nanos(1), |identity, _| identity.name().to_owned());
                    assert_eq!(found, Some(name));
                    assert!(
                        step % 2 == 0
                            || (ring.remove(new.as_bytes(), Nanos(1)) && !ring.remove(old.as_bytes(), Nanos(1)))
                    );
                }
            });
        }
    });
    // Of every two secrets one was removed; of the others the old has expired and may have been forgotten.
    assert!((THREADS * 1_000..=THREADS * 2_000).contains(&(ring.len() as u64)), "{}", ring.len());
}
