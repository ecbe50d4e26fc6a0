//! The beginning of a connection: the session below it, the handshake, and what each side is.

use super::{
    ConnectionError, HandshakeError,
    frame::{Decoder, Frame, Kind, Outgoing, PAYLOAD_BYTES_MAX, UNPROVEN_PAYLOAD_BYTES_MAX},
    handshake::{Agreed, Binding, Dialler, Introduction, Responder, Settings},
};
use crate::runtime::{Mutant, Rt, Stream};
use serde::{Deserialize, Serialize};
use std::{sync::atomic::Ordering, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longest text of a refusal.
const REFUSAL_BYTES_MAX: usize = 1 << 10;
/// Most that the clocks of two nodes may differ while one of them has yet to serve.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(3);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Use {
    /// Small calls, which the service takes in order.
    Control,
    /// One large call at a time.
    Bulk,
    /// Questions of a start: also between nodes that do not know yet which deployment their drives are of.
    Start,
}

/// What a node says of itself once both have proven themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Random number of its process.
    pub boot: u64,
    /// What the connection is for; the responder repeats it.
    pub used_for: Use,
    /// Fingerprint of the deployment that its drives are of, if it knows.
    pub deployment: Option<u128>,
    /// Name of that deployment, for operators.
    pub deployment_name: String,
    /// Its clock, in nanoseconds since 1970, as this was sent.
    pub clock: u64,
    /// It serves clients.
    pub is_serving: bool,
    /// How it is set up.
    pub settings: Settings,
    /// Its release, for the log.
    pub release: String,
    /// Why it does not want to talk after all.
    pub refusal: Option<String>,
}

impl Identity {
    pub fn of(introduction: &Introduction, deployment: Option<u128>, boot: u64, used_for: Use) -> Identity {
        Identity {
            boot,
            used_for,
            deployment,
            deployment_name: introduction.deployment.get().cloned().unwrap_or_default(),
            clock: 0,
            is_serving: introduction.is_serving.load(Ordering::Relaxed),
            settings: Settings::clone(&introduction.settings),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            refusal: None,
        }
    }

    /// # Errors
    /// The two are set up differently, or their drives are of different deployments.
    pub fn check(&self, other: &Identity) -> Result<(), HandshakeError> {
        for (name, ours) in &self.settings.same {
            let theirs = other.settings.same.get(name).filter(|theirs| *theirs != ours);
            if let Some(theirs) = theirs {
                return Err(HandshakeError::Setting {
                    name: name.clone(),
                    ours: ours.clone(),
                    theirs: theirs.clone(),
                });
            }
        }
        match (self.used_for, self.deployment, other.deployment) {
            (Use::Start, ..) => Ok(()),
            (_, Some(ours), Some(theirs)) if ours == theirs => Ok(()),
            (_, Some(_), Some(_)) => Err(HandshakeError::OtherDeployment {
                ours: self.deployment_name.clone(),
                theirs: other.deployment_name.clone(),
            }),
            (_, None, _) | (_, _, None) => Err(HandshakeError::Starting),
        }
    }

    /// Returns the settings that may differ and do: name, value here, value there.
    pub fn differences<'a>(&'a self, other: &'a Identity) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        let similar = self.settings.similar.iter();
        similar.filter_map(|(name, ours)| {
            let theirs = other.settings.similar.get(name).filter(|theirs| *theirs != ours)?;
            Some((&**name, &**ours, &**theirs))
        })
    }

    fn frame(&self, rt: &Rt) -> Frame {
        let identity = Identity {
            clock: rt.wall_nanos(),
            ..self.clone()
        };
        let payload = postcard::to_stdvec(&identity).expect("numbers and texts can be encoded");
        Frame::bare(Kind::Identity, payload)
    }

    fn decode(frame: &Frame) -> Result<Identity, ConnectionError> {
        let identity = (frame.kind == Kind::Identity)
            .then(|| postcard::from_bytes(&frame.payload.head).ok())
            .flatten();
        identity.ok_or(ConnectionError::Protocol("it does not say what it is"))
    }
}

/// A stream of frames before its connection is served.
pub(super) struct Greeting {
    pub stream: Box<dyn Stream>,
    pub decoder: Decoder,
}

impl Greeting {
    fn new(stream: Box<dyn Stream>) -> Greeting {
        Greeting {
            stream,
            decoder: Decoder::new(UNPROVEN_PAYLOAD_BYTES_MAX),
        }
    }

    async fn send(&mut self, frame: &Frame) -> Result<(), ConnectionError> {
        let mut outgoing = Outgoing::default();
        outgoing.push(frame);
        self.stream.write_all(&outgoing.take()).await?;
        Ok(self.stream.flush().await?)
    }

    async fn receive(&mut self) -> Result<Frame, ConnectionError> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(ConnectionError::Protocol)? {
                return Ok(frame);
            }
            if self.stream.read_buf(self.decoder.buffer()).await? == 0 {
                return Err(ConnectionError::Closed);
            }
        }
    }
}

fn nonce(rt: &Rt) -> [u8; 32] {
    let mut nonce = [0; 32];
    rt.fill_random(&mut nonce);
    nonce
}

/// Introduces this node to `to`, which it dialled, and is told what that is.
pub(super) async fn dial(
    rt: &Rt,
    (stream, binding): (Box<dyn Stream>, Binding),
    introduction: Introduction,
    to: u16,
    identity: Identity,
) -> Result<(Greeting, Agreed, Identity), ConnectionError> {
    let mut greeting = Greeting::new(stream);
    let (dialler, hello) = Dialler::begin(introduction, to, nonce(rt));
    greeting.send(&hello).await?;
    let (proving, proof) = dialler.greeted(&greeting.receive().await?, binding)?;
    greeting.send(&proof).await?;
    let proof = match greeting.receive().await {
        Err(ConnectionError::Closed) => return Err(HandshakeError::ProofRefused.into()),
        proof => proof?,
    };
    let agreed = proving.proven(&proof)?;
    greeting.decoder.set_payload_bytes_max(PAYLOAD_BYTES_MAX);
    let asked = rt.mono();
    greeting.send(&identity.frame(rt)).await?;
    let theirs = Identity::decode(&greeting.receive().await?)?;
    let trip = rt.mono().saturating_sub(asked);
    identity.check(&theirs)?;
    check_clocks(rt.wall_nanos(), trip, &identity, &theirs)?;
    if let Some(refusal) = &theirs.refusal {
        return Err(HandshakeError::Refused(refusal.clone()).into());
    }
    Ok((greeting, agreed, theirs))
}

/// # Errors
/// The clocks differ by more than [`CLOCKS_APART_MAX`] and what the trip may account for, and one of the two nodes does
/// not serve yet. Nothing that is stored depends on clocks; times that clients see do.
fn check_clocks(now: u64, trip: Duration, ours: &Identity, theirs: &Identity) -> Result<(), HandshakeError> {
    let half = u64::try_from(trip.as_nanos() / 2).unwrap_or(u64::MAX);
    let then = now.saturating_sub(half);
    let allowed = u64::try_from(CLOCKS_APART_MAX.as_nanos()).unwrap_or(u64::MAX);
    let is_near = then.abs_diff(theirs.clock) <= allowed.saturating_add(half);
    match is_near || (ours.is_serving && theirs.is_serving) {
        true => Ok(()),
        false => Err(HandshakeError::Clock {
            ours: then,
            theirs: theirs.clock,
        }),
    }
}

/// Introduces this node to who dialled it, and is told who that is. [`accept`] or [`refuse`] comes next.
pub(super) async fn respond(
    rt: &Rt,
    (stream, binding): (Box<dyn Stream>, Binding),
    introduction: Introduction,
) -> Result<(Greeting, Agreed, Identity), ConnectionError> {
    let mut greeting = Greeting::new(stream);
    let hello = greeting.receive().await?;
    let nonce = match introduction.mutation.is(Mutant::NonceRepeated) {
        true => [1; 32],
        false => nonce(rt),
    };
    let (responder, hello) = Responder::greeted(introduction.clone(), &hello, nonce, binding)?;
    greeting.send(&hello).await?;
    let (proof, agreed) = responder.proven(&greeting.receive().await?)?;
    greeting.send(&proof).await?;
    greeting.decoder.set_payload_bytes_max(PAYLOAD_BYTES_MAX);
    match agreed {
        Ok(agreed) => {
            let theirs = Identity::decode(&greeting.receive().await?)?;
            Ok((greeting, agreed, theirs))
        }
        Err(reason) => {
            // It has ended the connection if it knows why.
            if let Ok(theirs) = greeting.receive().await.and_then(|frame| Identity::decode(&frame)) {
                let ours = Identity::of(&introduction, None, 0, theirs.used_for);
                refuse(rt, &mut greeting, ours, &reason).await;
            }
            Err(reason.into())
        }
    }
}

/// Tells a peer that its connection is served from now on.
pub(super) async fn accept(rt: &Rt, greeting: &mut Greeting, identity: &Identity) -> Result<(), ConnectionError> {
    greeting.send(&identity.frame(rt)).await
}

/// Tells a peer why its connection is not served.
pub(super) async fn refuse(rt: &Rt, greeting: &mut Greeting, mut identity: Identity, reason: &HandshakeError) {
    let mut reason = reason.to_string();
    reason.truncate(reason.floor_char_boundary(REFUSAL_BYTES_MAX));
    identity.refusal = Some(reason);
    // If it cannot be told, it sees the connection end.
    greeting.send(&identity.frame(rt)).await.ok();
}

#[cfg(test)]
mod tests {
    use super::{super::PeerSecret, *};
    use crate::runtime::Mutation;
    use std::sync::Arc;

    const SECOND: u64 = 1_000_000_000;

    fn identity(used_for: Use, deployment: Option<u128>, parity: &str, paths: &str) -> Identity {
        let secret = PeerSecret::from_bytes(&[1; 32]).expect("long enough");
        let settings = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
        let introduction = Introduction {
            settings: Arc::new(Settings {
                same: settings("parity", parity),
                similar: settings("paths", paths),
            }),
            ..Introduction::new(0, 2, vec![secret], Mutation::NONE)
        };
        Identity::of(&introduction, deployment, 1, used_for)
    }

    // `peer.same-settings`
    #[test]
    fn nodes_that_are_set_up_differently_refuse_each_other_by_name() {
        let ours = identity(Use::Start, None, "EC:2", "/d1");
        assert_eq!(ours.check(&identity(Use::Start, Some(7), "EC:2", "/d2")), Ok(()));
        let refused = ours
            .check(&identity(Use::Start, None, "EC:4", "/d1"))
            .expect_err("refused");
        assert_eq!(
            refused.to_string(),
            "parity of this node is EC:2, of the peer EC:4: give all nodes the same"
        );
        let theirs = identity(Use::Start, None, "EC:2", "/d2");
        assert_eq!(ours.differences(&theirs).collect::<Vec<_>>(), [("paths", "/d1", "/d2")]);
        assert_eq!(ours.differences(&ours).count(), 0);
    }

    // `peer.same-settings`
    #[test]
    fn nodes_of_other_deployments_are_refused_with_both_names() {
        let named = |fingerprint, name: &str| Identity {
            deployment_name: name.to_owned(),
            ..identity(Use::Control, Some(fingerprint), "", "")
        };
        let refused = |theirs: Identity| named(7, "a").check(&theirs).expect_err("refused").to_string();
        let other = refused(named(8, "b"));
        assert!(
            other.starts_with("the drives of this node are of deployment a, those of the peer of b: look whether"),
            "{other}"
        );
        let changed = refused(named(8, "a"));
        assert!(
            changed.contains("are of deployment a, and the sets in their format.json differ"),
            "{changed}"
        );
    }

    #[test]
    fn only_questions_of_a_start_need_no_deployment() {
        let control = |deployment| identity(Use::Control, deployment, "", "");
        assert_eq!(control(Some(7)).check(&control(Some(7))), Ok(()));
        let other = control(Some(7)).check(&control(Some(8)));
        assert!(
            matches!(other, Err(HandshakeError::OtherDeployment { .. })),
            "{other:?}"
        );
        for (ours, theirs) in [(Some(7), None), (None, Some(7)), (None, None)] {
            assert_eq!(control(ours).check(&control(theirs)), Err(HandshakeError::Starting));
        }
    }

    // `peer.same-settings`
    #[test]
    fn a_clock_that_differs_is_refused_until_both_serve() {
        let (now, trip) = (1_000 * SECOND, Duration::from_millis(200));
        let checked = |theirs: u64, serves: [bool; 2]| {
            let [mut ours, mut peer] = [0; 2].map(|_| identity(Use::Control, Some(7), "", ""));
            [ours.is_serving, peer.is_serving] = serves;
            peer.clock = theirs;
            check_clocks(now, trip, &ours, &peer)
        };
        // Half of the trip ago this node's clock said 999.9 s.
        for theirs in [996_800_000_000, 999_900_000_000, 1_003_000_000_000] {
            assert_eq!(checked(theirs, [false, false]), Ok(()), "{theirs}");
        }
        for theirs in [996_799_999_999, 1_003_000_000_001, 0, u64::MAX] {
            assert!(checked(theirs, [false, false]).is_err(), "{theirs}");
            assert!(checked(theirs, [true, false]).is_err() && checked(theirs, [false, true]).is_err());
            assert_eq!(
                checked(theirs, [true, true]),
                Ok(()),
                "once both serve it ends no connection"
            );
        }
        let refused = checked(1_004_000_000_000, [false, true])
            .expect_err("refused")
            .to_string();
        assert!(
            refused.contains("4.100 s ahead") && refused.contains("1004.000 s"),
            "{refused}"
        );
    }
}
