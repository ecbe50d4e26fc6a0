//! The stateright model that all worlds share.
//!
//! A [`World`] defines states and actions; [`Charted`] describes them in words. [`Checked`] makes it a stateright
//! [`Model`]. Symmetry reduction: [`World::step`] keeps all names (for charts), and [`World::canonical`] picks the
//! representative of states that differ only in names.

use crate::chart::Names;
use crate::rules::{Listed, Seen, Violations};
use stateright::{Model, Property};
use std::fmt::Debug;
use std::hash::Hash;

/// A bounded model: machines of the protocol and their environment.
pub trait World: Clone + Send + Sync + Sized + 'static {
    type State: Clone + Debug + PartialEq + Hash + Send + Sync + 'static;
    type Action: Copy + Debug + PartialEq + Send + Sync + 'static;
    /// The rules that are checked.
    type Rule: Rules;

    fn initial(&self) -> Self::State;

    /// Adds the actions that are possible in a state.
    fn enabled(&self, s: &Self::State, actions: &mut Vec<Self::Action>);

    /// Returns the state after an action, with all names unchanged; `None` if the action has no effect.
    fn step(&self, last: &Self::State, action: Self::Action) -> Option<Self::State>;

    /// Returns the representative of the state under symmetry.
    fn canonical(&self, s: Self::State) -> Self::State {
        s
    }

    /// Returns the representative of the state after an action.
    fn next(&self, last: &Self::State, action: Self::Action) -> Option<Self::State> {
        self.step(last, action).map(|s| self.canonical(s))
    }

    /// Returns the rules that were broken on the path to a state.
    fn broken(&self, s: &Self::State) -> Violations<Self::Rule>;

    /// Returns the witnesses that were reached in some state.
    fn seen(&self) -> &Seen<<Self::Rule as Rules>::Occasion>;

    /// Returns properties of single states, beside the rules that are recorded along a path.
    fn judgements(&self) -> Vec<Property<Checked<Self>>>
    where
        Self: Charted,
    {
        Vec::new()
    }
}

/// A world whose bounds and paths can be described in words.
pub trait Charted: World {
    /// Returns the bounds in words.
    fn bounds(&self) -> String;

    /// Returns the initial names of what symmetry reduction reorders, if anything.
    fn names(&self) -> Names {
        Names::default()
    }

    /// Describes an action in words, as far as that needs no state.
    fn ask(&self, action: &Self::Action) -> String {
        format!("{action:?}")
    }

    /// Describes a step in one line: actor, receiver and effect; `None` if it has no effect. `names` are those before
    /// the step, and are updated to those after it.
    fn line(&self, last: &Self::State, action: &Self::Action, names: &mut Names) -> Option<String>;

    /// Describes the steps of a path, one line each.
    fn chart(&self, path: &[(Self::State, Option<Self::Action>)]) -> Vec<String> {
        let mut names = self.names();
        let steps = path.iter().filter_map(|(last, action)| Some((last, action.as_ref()?)));
        steps
            .filter_map(|(last, action)| self.line(last, action, &mut names))
            .collect()
    }
}

/// The rules of a world, each with a witness ([`rules!`](crate::rules!)).
pub trait Rules: Listed {
    /// A state that must be reached somewhere, or its rule holds vacuously.
    type Occasion: Listed;

    /// Returns each rule as `always` and each witness as `sometimes`.
    fn properties<W: Charted<Rule = Self>>() -> Vec<Property<Checked<W>>>;
}

/// The stateright model of a world.
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

/// Defines a world's `Rule` and `Occasion`: for each rule its name in `specs/`, and its witness in words.
#[macro_export]
macro_rules! rules {
    ($($rule:ident $name:literal, $occasion:ident $seen:literal;)*) => {
        $crate::listed! {
            /// A rule of the protocol.
            Rule { $(#[doc = concat!("`", $name, "`")] $rule $name;)* }
        }

        $crate::listed! {
            /// A state that must be reached somewhere, or its rule holds vacuously.
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
