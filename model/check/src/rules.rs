//! Rules of the protocol, and the occasions without which they would mean nothing.
//!
//! A state keeps which rules were [`Broken`] on the way to it; a world remembers which occasions it has [`Seen`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The rules that were broken on the way to a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Broken(u64);

impl Broken {
    /// Returns whether this rule was broken.
    #[must_use]
    pub fn has(self, rule: u32) -> bool {
        self.0 >> rule & 1 == 1
    }

    /// Notes whether a rule holds.
    pub fn demand(&mut self, rule: u32, holds: bool) {
        self.0 |= u64::from(!holds) << rule;
    }

    /// Returns whether all rules were kept.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// The occasions that arose in some state of a world. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<AtomicU64>);

impl Seen {
    /// Notes that an occasion arose.
    pub fn see(&self, occasion: u32) {
        self.0.fetch_or(1 << occasion, Ordering::Relaxed);
    }

    /// Returns whether it arose.
    #[must_use]
    pub fn has(&self, occasion: u32) -> bool {
        self.0.load(Ordering::Relaxed) >> occasion & 1 == 1
    }
}

/// A rule, by its name in `specs/`.
pub trait Named: Copy {
    /// Its name.
    fn named(self) -> &'static str;
}

impl Named for &'static str {
    fn named(self) -> &'static str {
        self
    }
}

/// Defines `Rule` and `Occasion`, in pairs, for a world with a field `seen` and its state with a field `broken`, and
/// `properties`, which holds each rule `always` and demands each occasion `sometimes`.
#[macro_export]
macro_rules! rules {
    ($world:ty, $state:ty; $($rule:ident $name:literal, $occasion:ident $seen:literal;)*) => {
        /// A rule of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $(
                #[doc = concat!("`", $name, "`")]
                $rule,
            )*
        }

        /// Something that must arise somewhere for a rule to mean anything.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Occasion {
            $(
                #[doc = $seen]
                $occasion,
            )*
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Rule] = &[$(Rule::$rule,)*];

            /// Its name in `specs/`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Rule::$rule => $name,)* }
            }
        }

        impl $crate::rules::Named for Rule {
            fn named(self) -> &'static str {
                self.name()
            }
        }

        impl Occasion {
            /// All of them.
            pub const ALL: &[Occasion] = &[$(Occasion::$occasion,)*];

            /// Returns what arises.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Occasion::$occasion => $seen,)* }
            }
        }

        impl $state {
            /// Returns whether a rule was broken on the way to this state.
            #[must_use]
            pub fn is_broken(&self, rule: Rule) -> bool {
                self.broken.has(rule as u32)
            }

            /// Ends a random walk if a rule was broken on it.
            ///
            /// # Panics
            /// If one was, with the walk's seed.
            pub fn assert_holds(&self, seed: u64) {
                for rule in Rule::ALL {
                    assert!(
                        !self.is_broken(*rule),
                        "{} is broken in the walk of seed {seed}",
                        rule.name()
                    );
                }
            }

            /// Notes whether a rule holds.
            pub fn demand(&mut self, rule: Rule, holds: bool) {
                self.broken.demand(rule as u32, holds);
            }

            /// The rules that were broken since, in words behind a line of a chart.
            #[must_use]
            pub fn broken_since(&self, last: &Self) -> String {
                let newly = Rule::ALL.iter().filter(|rule| self.is_broken(**rule) && !last.is_broken(**rule));
                newly.map(|rule| format!("; {} is broken", rule.name())).collect()
            }
        }

        impl $world {
            /// Notes that an occasion arose.
            pub fn see(&self, occasion: Occasion) {
                self.seen.see(occasion as u32);
            }

            /// Returns whether an occasion arose in some state.
            #[must_use]
            pub fn has_seen(&self, occasion: Occasion) -> bool {
                self.seen.has(occasion as u32)
            }

            /// The occasions that arose.
            #[must_use]
            pub fn occasions(&self) -> Vec<&'static str> {
                let arose = Occasion::ALL.iter().filter(|occasion| self.has_seen(**occasion));
                arose.map(|occasion| occasion.name()).collect()
            }
        }

        /// Each rule as `always`, each occasion as `sometimes`.
        #[must_use]
        pub fn properties() -> Vec<stateright::Property<$world>> {
            vec![
                $(stateright::Property::always($name, |_: &$world, s: &$state| !s.is_broken(Rule::$rule)),)*
                $(stateright::Property::sometimes($seen, |w: &$world, _: &$state| w.has_seen(Occasion::$occasion)),)*
            ]
        }
    };
}
