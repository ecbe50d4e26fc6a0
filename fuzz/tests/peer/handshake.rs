//! A stranger who carries frames between nodes as it likes, and does not know their secret.

use bolero::{TypeGenerator, check};
use store::{
    peer::{
        Introduction, PeerSecret,
        fuzzing::{Binding, Dialler, Frame, Kind, Proving, Responder},
    },
    runtime::{Mutant, Mutation},
};

/// Sides of attempts that are under way at once, half of them diallers.
const SIDES: usize = 4;

/// Step of a stranger: a frame that one side is given.
#[derive(Clone, Debug, TypeGenerator)]
struct Step {
    side: u8,
    frame: Said,
    /// A bit of it that it changes.
    flip: Option<u16>,
}

/// A frame of a stranger.
#[derive(Clone, Debug, TypeGenerator)]
enum Said {
    /// One that it was told, counted from the last.
    Heard(u8),
    Own {
        kind: u8,
        payload: Vec<u8>,
    },
    Zeros {
        kind: u8,
        len: u8,
    },
}

enum State {
    Waits,
    Dialler(Dialler),
    Proving(Proving),
    Responder(Responder),
    Agreed,
    Refused,
}

/// A side of an attempt: its state, its session, and the greetings that it has said and heard.
struct Side {
    state: State,
    binding: Binding,
    said: Option<Frame>,
    heard: Option<Frame>,
}

fn introduction(me: u16, mutation: Mutation) -> Introduction {
    let secret = PeerSecret::from_bytes(&[7; 32]).expect("long enough");
    Introduction::new(me, 2, vec![secret], mutation)
}

impl Side {
    fn is_dialler(at: usize) -> bool {
        at < SIDES / 2
    }

    /// Begins side `at`. Returns it, and what it says.
    fn begin(at: usize, binding: Binding, mutation: Mutation) -> (Side, Option<Frame>) {
        let (state, said) = match Side::is_dialler(at) {
            true => {
                let (dialler, hello) = Dialler::begin(introduction(0, mutation), 1, [at as u8; 32]);
                (State::Dialler(dialler), Some(hello))
            }
            false => (State::Waits, None),
        };
        let side = Side {
            state,
            binding,
            said: said.clone(),
            heard: None,
        };
        (side, said)
    }

    /// Takes a frame. Returns what it says.
    fn take(&mut self, at: usize, frame: Frame, mutation: Mutation) -> Option<Frame> {
        let (state, said) = match std::mem::replace(&mut self.state, State::Refused) {
            State::Waits => {
                let responder = Responder::greeted(introduction(1, mutation), &frame, [at as u8; 32], self.binding);
                let Ok((responder, hello)) = responder else { return None };
                (self.heard, self.said) = (Some(frame), Some(hello.clone()));
                (State::Responder(responder), Some(hello))
            }
            State::Dialler(dialler) => {
                let Ok((proving, proof)) = dialler.greeted(&frame, self.binding) else {
                    return None;
                };
                self.heard = Some(frame);
                (State::Proving(proving), Some(proof))
            }
            State::Proving(proving) => match proving.proven(&frame) {
                Ok(_) => (State::Agreed, None),
                Err(_) => (State::Refused, None),
            },
            State::Responder(responder) => match responder.proven(&frame) {
                Ok((proof, Ok(_))) => (State::Agreed, Some(proof)),
                Ok((proof, Err(_))) => (State::Refused, Some(proof)),
                Err(_) => (State::Refused, None),
            },
            ended => (ended, None),
        };
        self.state = state;
        said
    }
}

fn frame_of(step: &Step, heard: &[Frame]) -> Option<Frame> {
    let mut frame = match &step.frame {
        Said::Heard(back) => heard.iter().rev().nth(usize::from(*back) % heard.len())?.clone(),
        Said::Own { kind, payload } => Frame::bare(of_kind(*kind), payload.clone()),
        Said::Zeros { kind, len } => Frame::bare(of_kind(*kind), vec![0; usize::from(*len)]),
    };
    let mut payload = frame.payload.head.to_vec();
    if let Some(bit) = step.flip
        && !payload.is_empty()
    {
        let at = usize::from(bit / 8) % payload.len();
        payload[at] ^= 1 << (bit % 8);
        frame.payload = payload.into();
    }
    Some(frame)
}

fn of_kind(number: u8) -> Kind {
    [Kind::Hello, Kind::Proof, Kind::Identity, Kind::Request][usize::from(number) % 4]
}

/// Plays the steps. Sessions tells the session of each side.
fn play(steps: &[Step], sessions: [u8; SIDES], mutation: Mutation) -> Vec<Side> {
    let mut heard = Vec::new();
    let mut sides = Vec::new();
    for (at, session) in sessions.into_iter().enumerate() {
        let (side, said) = Side::begin(at, [session; 32], mutation);
        heard.extend(said);
        sides.push(side);
    }
    for step in steps {
        let at = usize::from(step.side) % SIDES;
        let Some(frame) = frame_of(step, &heard) else { continue };
        heard.extend(sides[at].take(at, frame, mutation));
    }
    sides
}

/// Returns whether each side that agreed has a counterpart in its own session that heard and said the same.
fn is_mutual(sides: &[Side]) -> bool {
    let (diallers, responders) = sides.split_at(SIDES / 2);
    let agrees = |side: &Side, others: &[Side]| {
        let is_other =
            |other: &Side| other.binding == side.binding && other.said == side.heard && other.heard == side.said;
        !matches!(side.state, State::Agreed) || others.iter().any(is_other)
    };
    diallers.iter().all(|side| agrees(side, responders)) && responders.iter().all(|side| agrees(side, diallers))
}

/// Nobody agrees with who does not know the secret, whatever he says and passes on (`peer.mutual`, `peer.no-replay`).
#[test]
fn strangers_prove_nothing() {
    check!()
        .with_type::<(Vec<Step>, [u8; SIDES])>()
        .for_each(|(steps, sessions)| {
            let sides = play(steps, sessions.map(|session| session % 3), Mutation::NONE);
            assert!(is_mutual(&sides), "peer.mutual");
        });
}

/// The steps of two nodes whose frames are passed on as they are.
fn passed_on(dialler: u8, responder: u8) -> Vec<Step> {
    // All diallers have spoken before, so the last frames are those of this attempt from its second one on.
    let first = SIDES as u8 / 2 - 1 - dialler;
    let heard = [(responder, first), (dialler, 0), (responder, 0), (dialler, 0)];
    let steps = heard.map(|(side, back)| Step {
        side,
        frame: Said::Heard(back),
        flip: None,
    });
    steps.to_vec()
}

#[test]
fn those_in_one_session_agree() {
    let sides = play(&passed_on(0, 2), [1, 2, 1, 2], Mutation::NONE);
    assert!(matches!(
        (&sides[0].state, &sides[2].state),
        (State::Agreed, State::Agreed)
    ));
    assert!(is_mutual(&sides));
}

/// Canary: proofs that say nothing of their session, and are passed on, are noticed.
#[test]
fn canary_one_in_the_middle_is_noticed() {
    let sessions = [1, 2, 2, 1];
    assert!(is_mutual(&play(&passed_on(0, 2), sessions, Mutation::NONE)));
    assert!(!is_mutual(&play(
        &passed_on(0, 2),
        sessions,
        Mutant::ProofOfAnySession.into()
    )));
}
