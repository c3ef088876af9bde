//! Routes that end at the same place, told apart by method.
//!
//! Nearly every place has one route, and most of those take every method: such a place is the route's number
//! itself, with nothing to look up. Others are a list, 12 bytes a route.

use crate::ids::RouteId;
use crate::method::MethodSet;

const END: u32 = u32::MAX;

/// Where routes end: a list of them, or with the top bit set the one route that takes every method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

/// The top bit of a place that is a route's number.
const SOLE: u32 = 1 << 31;

impl Place {
    /// No route ends here.
    pub const NONE: Self = Self(END);

    /// The one route that takes every method.
    const fn sole(self) -> Option<RouteId> {
        if self.0 & SOLE != 0 && self.0 != END { Some(RouteId(self.0 & !SOLE)) } else { None }
    }
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
        if place == Place::NONE && methods == MethodSet::ANY {
            return Ok(Place(route.0 | SOLE));
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
            while let Some(here) = self.all.get_mut(at as usize) {
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
        if let Some(route) = place.sole() {
            return query.meets(MethodSet::ANY).then_some(route);
        }
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
        if place.sole().is_some() {
            return MethodSet::ANY;
        }
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
