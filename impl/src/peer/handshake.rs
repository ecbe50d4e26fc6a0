//! How two nodes prove to each other that they have the same secret, before either tells anything. Without I/O.
//!
//! ```text
//! dialler                                   responder
//! Hello: versions, own index, meant index, nonce ──►
//!                                           ◄── Hello: the same of its own
//! Proof: HMAC(key of diallers, both Hellos, binding) ──►
//!                                           verifies, then
//!                                           ◄── Proof: HMAC(key of responders, …)
//! Identity ──►                              ◄── Identity
//! ```
//!
//! The *binding* is exported from the TLS session below: a proof counts in its own session alone, so nobody who sits
//! between two sessions can pass it on. Each side has a key of its own, so a proof that is sent back to its sender is
//! none. The versions are in what is proven: nobody can lower them. A dialler proves under each of its secrets (at most
//! two, while a secret is being changed); the responder answers under the one that it knows.

use super::{HandshakeError, PeerSecret, frame::Frame, frame::Kind, heard::Heard};
use crate::runtime::{Mutant, Mutation};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, OnceLock, atomic::AtomicBool},
};

/// Versions of the protocol that this release speaks.
pub const VERSIONS: RangeInclusive<u16> = 1..=1;
/// Most secrets of a node: the current one, and the one before it while nodes are restarted with the new one.
pub const SECRETS_MAX: usize = 2;

const MAGIC: &[u8; 8] = b"implpeer";
const NONCE_BYTES: usize = 32;
pub(super) const HELLO_BYTES: usize = MAGIC.len() + 8 + NONCE_BYTES;
const PROOF_BYTES: usize = 32;

/// Bytes that only the two ends of the session below know.
pub type Binding = [u8; 32];

/// What a node needs to introduce itself.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// Index of this node.
    pub me: u16,
    /// Number of nodes.
    pub nodes: u16,
    /// The secret, and the one before it if there is one.
    pub secrets: Vec<PeerSecret>,
    /// Versions that it speaks.
    pub versions: RangeInclusive<u16>,
    /// How it is set up.
    pub settings: Arc<Settings>,
    /// Name of the deployment that its drives are of, for operators, once it is known.
    pub deployment: Arc<OnceLock<String>>,
    /// It serves clients. Until then a peer whose clock differs too much is refused.
    pub is_serving: Arc<AtomicBool>,
    /// Tells its links which nodes have dialled it.
    pub heard: Arc<Heard>,
    /// What is broken on purpose.
    pub mutation: Mutation,
}

/// What nodes compare once they have proven themselves: names of settings, and their values in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Those that must be the same: nodes that differ refuse each other.
    pub same: BTreeMap<String, String>,
    /// Those that may differ: the log says so.
    pub similar: BTreeMap<String, String>,
}

impl Introduction {
    /// An introduction in the versions of this release, without settings, of a node that serves.
    #[must_use]
    pub fn new(me: u16, nodes: u16, secrets: Vec<PeerSecret>, mutation: Mutation) -> Introduction {
        Introduction {
            me,
            nodes,
            secrets,
            versions: VERSIONS,
            settings: Arc::default(),
            deployment: Arc::default(),
            is_serving: Arc::new(AtomicBool::new(true)),
            heard: Arc::new(Heard::of(nodes)),
            mutation,
        }
    }
}

/// What two nodes have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Index of the other node.
    pub peer: u16,
    /// Version that both speak.
    pub version: u16,
}

/// First frame of a side.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hello {
    versions: RangeInclusive<u16>,
    from: u16,
    to: u16,
    nonce: [u8; NONCE_BYTES],
}

impl Hello {
    fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HELLO_BYTES);
        bytes.put_slice(MAGIC);
        for number in [*self.versions.start(), *self.versions.end(), self.from, self.to] {
            bytes.put_u16_le(number);
        }
        bytes.put_slice(&self.nonce);
        bytes.freeze()
    }

    fn decode(frame: &Frame) -> Result<Hello, HandshakeError> {
        let mut bytes = &frame.payload.head[..];
        if frame.kind != Kind::Hello || bytes.len() != HELLO_BYTES || !bytes.starts_with(MAGIC) {
            return Err(HandshakeError::Malformed("its first words are others"));
        }
        bytes.advance(MAGIC.len());
        let versions = bytes.get_u16_le()..=bytes.get_u16_le();
        let (from, to) = (bytes.get_u16_le(), bytes.get_u16_le());
        let mut nonce = [0; NONCE_BYTES];
        bytes.copy_to_slice(&mut nonce);
        Ok(Hello {
            versions,
            from,
            to,
            nonce,
        })
    }
}

/// Side of a connection, in what it proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Dialler,
    Responder,
}

/// Both Hellos as they were sent, and the session.
struct Transcript {
    dialler: Bytes,
    responder: Bytes,
    binding: Binding,
    mutation: Mutation,
}

impl Transcript {
    fn mac(&self, secret: &PeerSecret, role: Role) -> Hmac<Sha256> {
        let purpose: &[u8] = match role {
            Role::Responder if !self.mutation.is(Mutant::ProofOfEitherSide) => b"impl-peer/1 responder",
            _ => b"impl-peer/1 dialler",
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.key(purpose)).expect("HMAC takes keys of any length");
        mac.update(&self.dialler);
        mac.update(&self.responder);
        if !self.mutation.is(Mutant::ProofOfAnySession) {
            mac.update(&self.binding);
        }
        mac
    }

    fn prove(&self, secret: &PeerSecret, role: Role) -> [u8; PROOF_BYTES] {
        self.mac(secret, role).finalize().into_bytes().into()
    }

    /// Compares in a time that does not depend on the proof.
    fn is_proven(&self, secret: &PeerSecret, role: Role, proof: &[u8]) -> bool {
        self.mac(secret, role).verify_slice(proof).is_ok()
    }
}

impl Introduction {
    fn hello(&self, to: u16, nonce: [u8; NONCE_BYTES]) -> Hello {
        Hello {
            versions: self.versions.clone(),
            from: self.me,
            to,
            nonce,
        }
    }

    fn secrets(&self) -> impl Iterator<Item = &PeerSecret> {
        self.secrets.iter().take(SECRETS_MAX)
    }

    /// What the two agree on, now that the other has proven itself.
    fn agree(&self, ours: &Hello, theirs: &Hello) -> Result<Agreed, HandshakeError> {
        let (found, nodes) = (theirs.from, self.nodes);
        if found >= nodes {
            return Err(HandshakeError::NoSuchNode { found, nodes });
        }
        if !self.mutation.is(Mutant::PeerIndexIgnored) {
            if ours.to != found {
                let wanted = ours.to;
                return Err(HandshakeError::WrongNode { wanted, found });
            }
            if theirs.to != self.me {
                let (wanted, found) = (theirs.to, self.me);
                return Err(HandshakeError::WrongNode { wanted, found });
            }
        }
        let version = *self.versions.end().min(theirs.versions.end());
        if version < *self.versions.start().max(theirs.versions.start()) {
            return Err(HandshakeError::NoCommonVersion {
                ours: self.versions.clone(),
                theirs: theirs.versions.clone(),
            });
        }
        Ok(Agreed { peer: found, version })
    }
}

fn proof_frame(proofs: impl Iterator<Item = [u8; PROOF_BYTES]>) -> Frame {
    Frame::bare(Kind::Proof, proofs.collect::<Vec<_>>().concat())
}

/// Returns the proofs in a frame, of which there are at most `max`.
fn proofs(frame: &Frame, max: usize) -> Result<impl Iterator<Item = &[u8]>, HandshakeError> {
    let len = frame.payload.len();
    let fits = len > 0 && len.is_multiple_of(PROOF_BYTES) && len <= max * PROOF_BYTES;
    if frame.kind != Kind::Proof || !fits {
        return Err(HandshakeError::Malformed("its proof is none"));
    }
    Ok(frame.payload.head.chunks(PROOF_BYTES))
}

/// The side that dialled, until the other has greeted it.
pub struct Dialler {
    introduction: Introduction,
    hello: Hello,
}

impl Dialler {
    /// Begins: node `to` is meant. Returns the frame to send first.
    #[must_use]
    pub fn begin(introduction: Introduction, to: u16, nonce: [u8; NONCE_BYTES]) -> (Dialler, Frame) {
        let hello = introduction.hello(to, nonce);
        let frame = Frame::bare(Kind::Hello, hello.encode());
        (Dialler { introduction, hello }, frame)
    }

    /// Takes the responder's greeting. Returns the frame to send next.
    ///
    /// # Errors
    /// It is none, or this node's own.
    pub fn greeted(self, frame: &Frame, binding: Binding) -> Result<(Proving, Frame), HandshakeError> {
        let theirs = Hello::decode(frame)?;
        if theirs.nonce == self.hello.nonce {
            return Err(HandshakeError::Reflected);
        }
        let transcript = Transcript {
            dialler: self.hello.encode(),
            responder: frame.payload.head.clone(),
            binding,
            mutation: self.introduction.mutation,
        };
        let secrets = self.introduction.secrets();
        let proof = proof_frame(secrets.map(|secret| transcript.prove(secret, Role::Dialler)));
        let proving = Proving {
            introduction: self.introduction,
            ours: self.hello,
            theirs,
            transcript,
        };
        Ok((proving, proof))
    }
}

/// The side that dialled, until the other has proven itself.
pub struct Proving {
    introduction: Introduction,
    ours: Hello,
    theirs: Hello,
    transcript: Transcript,
}

impl Proving {
    /// Takes the responder's proof.
    ///
    /// # Errors
    /// It proves nothing, or the two cannot talk.
    pub fn proven(self, frame: &Frame) -> Result<Agreed, HandshakeError> {
        let proof = proofs(frame, 1)?.next().unwrap_or_default();
        let mut secrets = self.introduction.secrets();
        if !secrets.any(|secret| self.transcript.is_proven(secret, Role::Responder, proof)) {
            return Err(HandshakeError::WrongSecret);
        }
        self.introduction.agree(&self.ours, &self.theirs)
    }
}

/// The side that was dialled.
pub struct Responder {
    introduction: Introduction,
    ours: Hello,
    theirs: Hello,
    transcript: Transcript,
}

impl Responder {
    /// Takes the dialler's greeting. Returns the frame to send next.
    ///
    /// # Errors
    /// It is none.
    pub fn greeted(
        introduction: Introduction,
        frame: &Frame,
        nonce: [u8; NONCE_BYTES],
        binding: Binding,
    ) -> Result<(Responder, Frame), HandshakeError> {
        let theirs = Hello::decode(frame)?;
        let ours = introduction.hello(theirs.from, nonce);
        let transcript = Transcript {
            dialler: frame.payload.head.clone(),
            responder: ours.encode(),
            binding,
            mutation: introduction.mutation,
        };
        let hello = Frame::bare(Kind::Hello, ours.encode());
        let responder = Responder {
            introduction,
            ours,
            theirs,
            transcript,
        };
        Ok((responder, hello))
    }

    /// Takes the dialler's proof. Returns the proof to send, and what the two agree on: why they cannot talk is told
    /// after the proof, since the dialler is one that may know.
    ///
    /// # Errors
    /// It proves nothing: nothing may be sent any more.
    pub fn proven(self, frame: &Frame) -> Result<(Frame, Result<Agreed, HandshakeError>), HandshakeError> {
        let known = proofs(frame, SECRETS_MAX)?.find_map(|proof| {
            let mut secrets = self.introduction.secrets();
            secrets.find(|secret| self.transcript.is_proven(secret, Role::Dialler, proof))
        });
        let known = match known {
            Some(secret) => secret,
            None if self.introduction.mutation.is(Mutant::ProvesToAnyone) => &self.introduction.secrets[0],
            None => return Err(HandshakeError::WrongSecret),
        };
        let proof = proof_frame([self.transcript.prove(known, Role::Responder)].into_iter());
        Ok((proof, self.introduction.agree(&self.ours, &self.theirs)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Binding = [1; 32];
    const ELSEWHERE: Binding = [2; 32];

    fn secret(byte: u8) -> PeerSecret {
        PeerSecret::from_bytes(&[byte; 32]).expect("long enough")
    }

    fn introduction(me: u16, secrets: &[u8]) -> Introduction {
        let secrets = secrets.iter().copied().map(secret).collect();
        Introduction::new(me, 3, secrets, Mutation::NONE)
    }

    /// What each side is left with.
    type Ends = (Result<Agreed, HandshakeError>, Result<Agreed, HandshakeError>);

    /// A handshake between a dialler that means node 1 and a responder, with a Hello that may change on its way.
    fn shake(dialler: Introduction, responder: Introduction, change: fn(&mut Frame)) -> Ends {
        let (dialler, mut hello) = Dialler::begin(dialler, 1, [3; 32]);
        change(&mut hello);
        let (responder, hello) = Responder::greeted(responder, &hello, [4; 32], HERE).expect("a greeting");
        let (proving, proof) = dialler.greeted(&hello, HERE).expect("a greeting");
        match responder.proven(&proof) {
            Err(error) => (Err(HandshakeError::Malformed("nothing came")), Err(error)),
            Ok((proof, agreed)) => (proving.proven(&proof), agreed),
        }
    }

    fn as_it_is(_: &mut Frame) {}

    #[test]
    fn two_nodes_with_one_secret_agree() {
        let agreed = |peer| Ok(Agreed { peer, version: 1 });
        for (dialler, responder) in [
            (vec![7], vec![7]),
            (vec![8, 7], vec![7]),
            (vec![7], vec![8, 7]),
            (vec![8, 7], vec![8]),
        ] {
            let ends = shake(introduction(0, &dialler), introduction(1, &responder), as_it_is);
            assert_eq!(ends, (agreed(1), agreed(0)));
        }
    }

    #[test]
    fn without_the_secret_nothing_is_proven() {
        let (_, responder) = shake(introduction(0, &[8, 9]), introduction(1, &[7]), as_it_is);
        assert_eq!(responder, Err(HandshakeError::WrongSecret), "peer.mutual");
        // A responder that does not know it cannot answer: not even with the dialler's own proof.
        let (dialler, hello) = Dialler::begin(introduction(0, &[7]), 1, [3; 32]);
        let (_, theirs) = Responder::greeted(introduction(1, &[8]), &hello, [4; 32], HERE).expect("a greeting");
        let (proving, proof) = dialler.greeted(&theirs, HERE).expect("a greeting");
        assert_eq!(proving.proven(&proof), Err(HandshakeError::WrongSecret), "peer.mutual");
    }

    #[test]
    fn a_proof_counts_in_its_own_session_alone() {
        let (dialler, hello) = Dialler::begin(introduction(0, &[7]), 1, [3; 32]);
        let responder = Responder::greeted(introduction(1, &[7]), &hello, [4; 32], ELSEWHERE);
        let (responder, theirs) = responder.expect("a greeting");
        let (_, proof) = dialler.greeted(&theirs, HERE).expect("a greeting");
        assert_eq!(
            responder.proven(&proof).map(drop),
            Err(HandshakeError::WrongSecret),
            "peer.no-replay"
        );
        // In the same session, but replayed to a responder that greets anew.
        let again = Responder::greeted(introduction(1, &[7]), &hello, [5; 32], HERE);
        let (again, _) = again.expect("a greeting");
        assert_eq!(
            again.proven(&proof).map(drop),
            Err(HandshakeError::WrongSecret),
            "peer.no-replay"
        );
    }

    #[test]
    fn a_greeting_that_comes_back_is_no_other_node() {
        let (dialler, hello) = Dialler::begin(introduction(0, &[7]), 1, [3; 32]);
        assert_eq!(dialler.greeted(&hello, HERE).map(drop), Err(HandshakeError::Reflected));
    }

    #[test]
    fn a_changed_greeting_is_noticed() {
        let changes: [fn(&mut Frame); 3] = [
            |hello| {
                hello.payload = [&hello.payload.head[..10], &[9], &hello.payload.head[11..]]
                    .concat()
                    .into()
            },
            |hello| {
                hello.payload = [&hello.payload.head[..12], &[2], &hello.payload.head[13..]]
                    .concat()
                    .into()
            },
            |hello| {
                hello.payload = [&hello.payload.head[..14], &[2], &hello.payload.head[15..]]
                    .concat()
                    .into()
            },
        ];
        for change in changes {
            let (_, responder) = shake(introduction(0, &[7]), introduction(1, &[7]), change);
            assert_eq!(responder, Err(HandshakeError::WrongSecret));
        }
    }

    #[test]
    fn other_nodes_and_versions_are_named() {
        let wrong = HandshakeError::WrongNode { wanted: 1, found: 2 };
        let ends = shake(introduction(0, &[7]), introduction(2, &[7]), as_it_is);
        assert_eq!(ends, (Err(wrong.clone()), Err(wrong)));
        let (dialler, responder) = shake(introduction(5, &[7]), introduction(1, &[7]), as_it_is);
        assert_eq!(responder, Err(HandshakeError::NoSuchNode { found: 5, nodes: 3 }));
        assert_eq!(
            dialler,
            Ok(Agreed { peer: 1, version: 1 }),
            "it is told by the responder, or finds that their settings differ"
        );
        let newer = Introduction {
            versions: 2..=4,
            ..introduction(0, &[7])
        };
        let (dialler, responder) = shake(newer, introduction(1, &[7]), as_it_is);
        let named = |ours, theirs| Err(HandshakeError::NoCommonVersion { ours, theirs });
        assert_eq!((dialler, responder), (named(2..=4, VERSIONS), named(VERSIONS, 2..=4)));
    }

    #[test]
    fn what_is_no_greeting_or_proof_is_refused() {
        let garbage = [
            Frame::bare(Kind::Hello, vec![0; 48]),
            Frame::bare(Kind::Proof, vec![0; 48]),
        ];
        for frame in &garbage {
            let greeted = Responder::greeted(introduction(1, &[7]), frame, [4; 32], HERE);
            assert!(matches!(greeted, Err(HandshakeError::Malformed(_))));
        }
        for len in [0, 31, 33, 96] {
            let (_, hello) = Dialler::begin(introduction(0, &[7]), 1, [3; 32]);
            let responder = Responder::greeted(introduction(1, &[7]), &hello, [4; 32], HERE);
            let (responder, _) = responder.expect("a greeting");
            let proven = responder.proven(&Frame::bare(Kind::Proof, vec![0; len]));
            assert!(matches!(proven, Err(HandshakeError::Malformed(_))), "{len} bytes");
        }
    }
}
