//! Worlds as the checker explores them: the one model of stateright that all of them share.
//!
//! A [`World`] says what there is and what may happen; [`Charted`] tells it in words. [`Checked`] is what stateright
//! sees of it. States that differ only in names are one: [`World::step`] leaves everything under the name that it had,
//! for charts, and [`World::canonical`] gives it the name that the state is kept by.

use crate::chart::Names;
use crate::rules::{Listed, Seen, Violations};
use stateright::{Model, Property};
use std::fmt::Debug;
use std::hash::Hash;

/// Machines of the protocol, and what the outside may do to them within bounds.
pub trait World: Clone + Send + Sync + Sized + 'static {
    /// All that there is at one moment.
    type State: Clone + Debug + PartialEq + Hash + Send + Sync + 'static;
    /// Something that may happen.
    type Action: Copy + Debug + PartialEq + Send + Sync + 'static;
    /// The rules that it is held to.
    type Rule: Rules;

    /// The state in which everything begins.
    fn initial(&self) -> Self::State;

    /// Adds what may happen next.
    fn enabled(&self, s: &Self::State, actions: &mut Vec<Self::Action>);

    /// The state after an action, everything under the name that it had; none if the action leads nowhere.
    fn step(&self, last: &Self::State, action: Self::Action) -> Option<Self::State>;

    /// The same state under the names that it is kept by.
    fn canonical(&self, s: Self::State) -> Self::State {
        s
    }

    /// The state after an action, as it is kept.
    fn next(&self, last: &Self::State, action: Self::Action) -> Option<Self::State> {
        self.step(last, action).map(|s| self.canonical(s))
    }

    /// The rules that were broken on the way to a state.
    fn broken(&self, s: &Self::State) -> Violations<Self::Rule>;

    /// The occasions that arose in some state.
    fn seen(&self) -> &Seen<<Self::Rule as Rules>::Occasion>;

    /// Properties of each state beside the rules that are noted on the way to it.
    fn judgements(&self) -> Vec<Property<Checked<Self>>>
    where
        Self: Charted,
    {
        Vec::new()
    }
}

/// A world whose bounds and ways can be told.
pub trait Charted: World {
    /// Its bounds in words.
    fn bounds(&self) -> String;

    /// The names of what it keeps in an order of its own, if anything.
    fn names(&self) -> Names {
        Names::default()
    }

    /// What may happen, in words, as far as they need no state.
    fn ask(&self, action: &Self::Action) -> String {
        format!("{action:?}")
    }

    /// A step in one line: who does what, to whom, and what comes of it; none if it leads nowhere. The names are those
    /// before it, and afterwards those after it.
    fn line(&self, last: &Self::State, action: &Self::Action, names: &mut Names) -> Option<String>;

    /// The steps of a way, a line each.
    fn chart(&self, path: &[(Self::State, Option<Self::Action>)]) -> Vec<String> {
        let mut names = self.names();
        let steps = path.iter().filter_map(|(last, action)| Some((last, action.as_ref()?)));
        steps
            .filter_map(|(last, action)| self.line(last, action, &mut names))
            .collect()
    }
}

/// The rules of a world, each with an occasion ([`rules!`](crate::rules!)).
pub trait Rules: Listed {
    /// Something that must arise somewhere for a rule to mean anything.
    type Occasion: Listed;

    /// Each rule as `always`, each occasion as `sometimes`.
    fn properties<W: Charted<Rule = Self>>() -> Vec<Property<Checked<W>>>;
}

/// A world as stateright explores it.
#[derive(Clone, Debug)]
pub struct Checked<W>(pub W);

impl<W: Charted> Model for Checked<W> {
    type State = W::State;
    type Action = W::Action;

    fn init_states(&self) -> Vec<W::State> {
        vec![self.0.initial()]
    }

    fn actions(&self, s: &W::State, actions: &mut Vec<W::Action>) {
        self.0.enabled(s, actions);
    }

    fn next_state(&self, last: &W::State, action: W::Action) -> Option<W::State> {
        self.0.next(last, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = W::Rule::properties();
        all.extend(self.0.judgements());
        all
    }

    fn format_action(&self, action: &W::Action) -> String {
        self.0.ask(action)
    }

    fn format_step(&self, last: &W::State, action: W::Action) -> Option<String> {
        self.0.line(last, &action, &mut self.0.names())
    }
}

/// Defines a world's `Rule` and `Occasion`, in pairs, for each rule its name in `specs/` and its occasion in words.
#[macro_export]
macro_rules! rules {
    ($($rule:ident $name:literal, $occasion:ident $seen:literal;)*) => {
        $crate::listed! {
            /// A rule of the protocol.
            Rule { $(#[doc = concat!("`", $name, "`")] $rule $name;)* }
        }

        $crate::listed! {
            /// Something that must arise somewhere for a rule to mean anything.
            Occasion { $(#[doc = $seen] $occasion $seen;)* }
        }

        impl $crate::harness::Rules for Rule {
            type Occasion = Occasion;

            fn properties<W>() -> Vec<stateright::Property<$crate::harness::Checked<W>>>
            where
                W: $crate::harness::Charted<Rule = Rule>,
            {
                use stateright::Property;
                vec![
                    $(Property::always($name, |w: &$crate::harness::Checked<W>, s| !w.0.broken(s).has(Rule::$rule)),)*
                    $(Property::sometimes($seen, |w: &$crate::harness::Checked<W>, _| {
                        w.0.seen().has(Occasion::$occasion)
                    }),)*
                ]
            }
        }
    };
}
