//! Paths through the world of configuration in words.

use super::state::{Action, Client, Kind, State, World};
use crate::chart::{Names, client};
use crate::harness::{Charted, World as _};

impl Charted for World {
    fn bounds(&self) -> String {
        self.bounds()
    }

    fn ask(&self, action: &Action) -> String {
        self.asks(*action)
    }

    fn line(&self, last: &State, action: &Action, _names: &mut Names) -> Option<String> {
        let next = self.step(last, *action)?;
        let mut line = self.asks(*action);
        let came = self.came_of(last, &next, *action);
        if !came.is_empty() {
            line += &format!(": {came}");
        }
        for (index, (before, after)) in (0..).zip(last.system.clients.iter().zip(&next.system.clients)) {
            let is_change = self.kinds[usize::from(index)] == Kind::Change;
            if is_change && *after == Client::Over && *before != Client::Over {
                let told = if last.system.lost && *before == Client::Asking {
                    "is not done"
                } else {
                    "is answered"
                };
                line += &format!("; {} {told}", self.client(index));
            }
        }
        Some(line + &next.ledger.broken.since(last.ledger.broken))
    }
}

impl World {
    fn client(&self, index: u8) -> String {
        match self.kinds[usize::from(index)] {
            Kind::Change => client(index, "change"),
            Kind::Serve(node, set) => client(index, &format!("request to node {node} on set {set}")),
        }
    }

    /// Describes an action: actor and receiver.
    pub(super) fn asks(&self, action: Action) -> String {
        let client = |index| self.client(index);
        let drive = |index: u8, drive: u8| match self.kinds[usize::from(index)] {
            Kind::Serve(_, set) => format!("drive {drive} of set {set} (node {})", self.owner(set, drive)),
            Kind::Change => format!("drive {drive}"),
        };
        match action {
            Action::Begin(index) => format!("{} begins", client(index)),
            Action::Choose(index) => format!("{} comes to the register", client(index)),
            Action::Tell(index, to) => format!("{} -> node {to}", client(index)),
            Action::Hear(index, from) => format!("{} -> {}", drive(index, from), client(index)),
            Action::Fetch(index, from) => format!("{} makes its node ask {}", client(index), drive(index, from)),
            Action::Serve(index) => format!("{} is served", client(index)),
            Action::Lose(node) => format!("node {node} loses its copy"),
            Action::Ask(node) => format!("node {node} asks the register; the answer is on its way"),
            Action::Answer(node) => format!("node {node} has the register's answer"),
            Action::LoseAcceptors => "too few acceptors are left".to_owned(),
        }
    }

    /// Describes the effect of an action.
    fn came_of(&self, last: &State, next: &State, action: Action) -> String {
        let served = |index: u8| match self.kinds[usize::from(index)] {
            Kind::Serve(node, _) => Some(node),
            Kind::Change => None,
        };
        match action {
            Action::Begin(index) => match &next.system.clients[usize::from(index)] {
                Client::Served(floor, _) => format!("answered so far is version {floor}"),
                _ => String::new(),
            },
            Action::Choose(index) => match &next.system.clients[usize::from(index)] {
                Client::Over if last.system.chosen == next.system.chosen => "too few acceptors".to_owned(),
                _ => format!("version {} is chosen, and on its way to all nodes", next.system.chosen),
            },
            Action::Tell(index, node) => {
                let told = last.system.nodes[node as usize].mail.get(&index).copied().unwrap_or(0);
                format!("version {told}: {}", has(next, node))
            }
            Action::Hear(index, drive) => match self.kinds[usize::from(index)] {
                Kind::Serve(_, set) => has(next, self.owner(set, drive)),
                Kind::Change => String::new(),
            },
            Action::Fetch(index, _) => served(index).map_or_else(String::new, |node| has(next, node)),
            Action::Serve(index) => served(index).map_or_else(String::new, |node| has(last, node)),
            Action::Ask(node) => {
                let told = next.system.nodes[node as usize].told;
                told.map_or_else(String::new, |(_, version)| format!("version {version}"))
            }
            Action::Answer(node) => has(next, node),
            Action::Lose(_) | Action::LoseAcceptors => String::new(),
        }
    }
}

/// Describes a node's copy.
fn has(s: &State, node: u32) -> String {
    match s.system.version(node) {
        Some(version) => format!("node {node} has version {version}"),
        None => format!("node {node} has no copy"),
    }
}

#[cfg(test)]
mod tests {
    use crate::chart::tests::assert_tells;
    use crate::configuration::bounds::world;
    use crate::configuration::rules::Rule;
    use crate::configuration::state::Kind::{Change, Serve};
    use crate::configuration::state::{Faults, World};
    use model::configuration::mutant::Mutant;

    #[test]
    fn a_counterexample_reads_as_a_chart() {
        let broken = World {
            mutation: Mutant::StoredAtFewer.into(),
            ..world(&[&[0, 1, 2]], &[Change, Serve(2, 0)], Faults::default())
        };
        let words = [
            "client 1 (change) comes to the register: version 1 is chosen, and on its way to all nodes",
            "; client 1 (change) is answered",
            "client 2 (request to node 2 on set 0) begins: answered so far is version 1",
            "client 2 (request to node 2 on set 0) is served: node 2 has version 0",
        ];
        assert_tells(&broken, Rule::AnsweredIsSeen, &words);
    }
}
