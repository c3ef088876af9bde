//! Routes that end at the same place, told apart by method.
//!
//! Nearly every place has one route, so a place costs 12 bytes and finding it one read.

use crate::ids::RouteId;
use crate::method::MethodSet;

const END: u32 = u32::MAX;

/// The first route of a place; the others are linked behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

impl Place {
    /// No route ends here.
    pub const NONE: Self = Self(END);
}

#[derive(Clone, Copy, Debug)]
struct Endpoint {
    methods: MethodSet,
    route: RouteId,
    next: u32,
}

/// All the places of one table.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    all: Vec<Endpoint>,
}

impl Endpoints {
    /// Put a route at a place (`Place::NONE` for a new one) and return the place.
    ///
    /// # Errors
    /// The route that already answers one of these methods there.
    pub fn add(&mut self, place: Place, methods: MethodSet, route: RouteId) -> Result<Place, RouteId> {
        if let Some(taken) = self.find(place, methods) {
            return Err(taken);
        }
        self.all.push(Endpoint { methods, route, next: END });
        let new = self.all.len() as u32 - 1;
        if place == Place::NONE {
            return Ok(Place(new));
        }
        let mut last = place.0;
        while self.all[last as usize].next != END {
            last = self.all[last as usize].next;
        }
        self.all[last as usize].next = new;
        Ok(place)
    }

    /// Let every `GET` route answer `HEAD` too, where no route at its place does.
    pub fn derive_head(&mut self, places: impl Iterator<Item = Place>) {
        for place in places {
            if self.allowed(place).meets(MethodSet::HEAD) {
                continue;
            }
            let mut at = place.0;
            while at != END {
                let here = &mut self.all[at as usize];
                if here.methods.meets(MethodSet::GET) {
                    here.methods = here.methods.union(MethodSet::HEAD);
                }
                at = here.next;
            }
        }
    }

    /// The route at a place that takes the method.
    #[inline]
    pub fn find(&self, place: Place, query: MethodSet) -> Option<RouteId> {
        let mut at = place.0;
        while let Some(here) = self.all.get(at as usize) {
            if here.methods.meets(query) {
                return Some(here.route);
            }
            at = here.next;
        }
        None
    }

    /// Every method some route at the place takes.
    pub fn allowed(&self, place: Place) -> MethodSet {
        let mut set = MethodSet::NONE;
        let mut at = place.0;
        while let Some(here) = self.all.get(at as usize) {
            set = set.union(here.methods);
            at = here.next;
        }
        set
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.all.capacity() * size_of::<Endpoint>()
    }

    /// Give back what building left over.
    pub fn shrink(&mut self) {
        self.all.shrink_to_fit();
    }
}
