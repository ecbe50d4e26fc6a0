//! Rules of the protocol, and the witnesses that show they do not hold vacuously.
//!
//! A state records the rules that were broken on the path to it ([`Violations`]); a world records the witnesses that it
//! has [`Seen`].

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A type with a name in `specs/` or in a table of results.
pub trait Named: Copy {
    fn name(self) -> &'static str;
}

impl Named for &'static str {
    fn name(self) -> &'static str {
        self
    }
}

/// An enumerated list: the rules or the witnesses of a world.
pub trait Listed: Named + Debug + Eq + 'static {
    const ALL: &'static [Self];

    /// Returns the position in the list.
    fn place(self) -> u32;
}

/// The set of rules that were broken on the path to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Violations<R>(u64, PhantomData<R>);

impl<R> Default for Violations<R> {
    fn default() -> Self {
        Violations(0, PhantomData)
    }
}

impl<R: Listed> Violations<R> {
    /// Returns whether this rule was broken.
    #[must_use]
    pub fn has(self, rule: R) -> bool {
        self.0 >> rule.place() & 1 == 1
    }

    /// Records a violation unless the rule holds.
    pub fn check(&mut self, rule: R, holds: bool) {
        self.0 |= u64::from(!holds) << rule.place();
    }

    /// Returns whether no rule was broken.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Returns the rules that were broken since `last`, in words to be appended to a line of a chart.
    #[must_use]
    pub fn since(self, last: Self) -> String {
        let newly = R::ALL.iter().filter(|rule| self.has(**rule) && !last.has(**rule));
        newly.map(|rule| format!("; {} is broken", rule.name())).collect()
    }

    /// Ends a random walk if a rule was broken.
    ///
    /// # Panics
    /// If one was, with the walk's seed.
    pub fn assert_none(self, seed: u64) {
        for rule in R::ALL {
            assert!(!self.has(*rule), "{} is broken in the walk of seed {seed}", rule.name());
        }
    }
}

/// The witnesses that were reached in some state of a world. Clones share it.
#[derive(Clone, Debug)]
pub struct Seen<O>(Arc<AtomicU64>, PhantomData<O>);

impl<O> Default for Seen<O> {
    fn default() -> Self {
        Seen(Arc::default(), PhantomData)
    }
}

impl<O: Listed> Seen<O> {
    /// Records that a witness was reached.
    pub fn see(&self, occasion: O) {
        self.0.fetch_or(1 << occasion.place(), Ordering::Relaxed);
    }

    #[must_use]
    pub fn has(&self, occasion: O) -> bool {
        self.0.load(Ordering::Relaxed) >> occasion.place() & 1 == 1
    }
}

/// Defines a [`Listed`] enum: each member with its documentation and its name.
#[macro_export]
macro_rules! listed {
    ($(#[$doc:meta])* $list:ident { $($(#[$about:meta])* $member:ident $name:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $list {
            $($(#[$about])* $member,)*
        }

        impl $crate::rules::Named for $list {
            fn name(self) -> &'static str {
                match self { $($list::$member => $name,)* }
            }
        }

        impl $crate::rules::Listed for $list {
            const ALL: &'static [$list] = &[$($list::$member,)*];

            fn place(self) -> u32 {
                self as u32
            }
        }
    };
}
