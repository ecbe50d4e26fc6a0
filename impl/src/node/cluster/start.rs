//! The start of a node among others: its drives are opened, or first formatted with those of all other nodes
//! (`specs/format.md`, *Several nodes*). Runs the machines of `model::formation`.

use super::{ClusterConfig, OpenError};
use crate::{
    drive::format::{FormatError, Layout, Opened, OwnDrives},
    peer::{Caller, Link, Payload, Refusal, Request, Service},
    runtime::{self, BoxFuture, Executor, Lane, Rt, of_formation, spawn},
};
use futures::future::join_all;
use model::formation::{self, Drives, Found, Job, Leader, Look, Reply, Standing, mutant::Mutant};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Mutex, Notify, oneshot};
use uuid::Uuid;

/// Number of the service on connections for questions of a start.
const SERVICE: u16 = 0;
/// Time limit for an answer: a node writes to its drives before it gives one.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Pauses between rounds of questions: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Time after which the log says for whom a first start waits.
const TOLD_AFTER: Duration = Duration::from_secs(2);

/// Question of one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Question {
    /// Asks for the contents of the drives.
    Ask,
    /// A request of the leader, and the number of its look at this node that it is, or is based on.
    Lead(u64, formation::Request<Layout>),
}

/// Answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    reply: Reply<Layout>,
    /// Reasons why drives cannot be formatted, for operators.
    reasons: Vec<String>,
}

impl Told {
    fn refused(reason: impl Into<String>) -> Told {
        Told {
            reply: Reply::Refused,
            reasons: vec![reason.into()],
        }
    }

    /// Contents of the drives; empty if the answer is another one.
    fn found(&self) -> &[Found<Layout>] {
        match &self.reply {
            Reply::Found(found) => found,
            _ => &[],
        }
    }
}

/// A node's side of a start, which answers other nodes.
pub(super) struct Start {
    rt: Rt,
    state: Arc<Mutex<State>>,
    /// Told after each request of the leader.
    led: Arc<Notify>,
}

enum State {
    /// It has not looked at its drives yet.
    Before,
    /// It has, and they are not in use yet.
    Starts(Own),
    /// They are in use, as drives of this deployment.
    Open(Layout),
}

/// A node's drives, and the machine that decides what is done to them.
struct Own {
    executor: Arc<dyn Executor>,
    /// `None` while a job has them.
    drives: Option<OwnDrives>,
    machine: Drives<Layout>,
}

impl Start {
    pub fn new(rt: &Rt) -> Arc<Start> {
        Arc::new(Start {
            rt: rt.clone(),
            state: Arc::new(Mutex::new(State::Before)),
            led: Arc::default(),
        })
    }

    /// Looks at a node's drives, and takes them into use once they are formatted. `links` dials the other nodes, if
    /// they have to be asked.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        self: &Arc<Self>,
        config: &ClusterConfig,
        links: impl FnOnce() -> BTreeMap<u16, Arc<Link>>,
    ) -> Result<Opened, OpenError> {
        let own = config.own();
        let Some(first) = own.first() else {
            return Err(FormatError::TooFew { drives: 0 }.into());
        };
        let executor = self.rt.executor(&first.path.to_string_lossy());
        let (files, given) = (self.rt.files(), config.given());
        let looked = runtime::run(&executor, Lane::Data, move || OwnDrives::look(&files, own, given)).await;
        let drives = looked.map_err(|_| OpenError::Ending)??;
        drives.check_shape()?;
        let machine = Drives::new(drives.found(), of_formation(self.rt.mutation()));
        let serves = machine.serves(&[]);
        for reason in drives.refusals() {
            tracing::warn!(reason, "a drive cannot be used");
        }
        let own = Own {
            executor,
            drives: Some(drives),
            machine,
        };
        *self.state.lock().await = State::Starts(own);
        let known = match serves {
            true => None,
            false => Some(self.form(config, &links()).await?),
        };
        let mut state = self.state.lock().await;
        let State::Starts(Own {
            executor,
            drives: Some(drives),
            ..
        }) = std::mem::replace(&mut *state, State::Before)
        else {
            return Err(OpenError::Ending);
        };
        let opened = runtime::run(&executor, Lane::Data, move || drives.open(known.as_ref())).await;
        let opened = opened.map_err(|_| OpenError::Ending)??;
        *state = State::Open(opened.layout.clone());
        Ok(opened)
    }

    /// Waits until the deployment is formed, and takes part in it. Returns its layout.
    async fn form(
        self: &Arc<Self>,
        config: &ClusterConfig,
        links: &BTreeMap<u16, Arc<Link>>,
    ) -> Result<Layout, OpenError> {
        let mut leader = match config.me {
            0 => Some(self.leader(config)?),
            _ => None,
        };
        let (began, mut pause, mut waits) = (self.rt.mono(), PAUSE_MIN, Waits::default());
        loop {
            if let Some(layout) = self.learn(&[]).await? {
                return Ok(layout);
            }
            let (mut told, progress) = match &mut leader {
                Some(leader) if !matches!(leader.standing(), Standing::Formed(_)) => {
                    self.lead(config, links, leader).await
                }
                _ => (self.ask_all(links).await, false),
            };
            // Its own drives would count twice (`format.wiped-is-unknown`).
            let others = told.iter().filter(|(node, _)| *node != config.me);
            for told in others.filter_map(|(_, told)| told.as_ref().ok()) {
                if let Some(layout) = self.learn(told.found()).await? {
                    return Ok(layout);
                }
            }
            if progress {
                pause = PAUSE_MIN;
                continue;
            }
            if self.rt.mono().saturating_sub(began) >= TOLD_AFTER {
                told.extend(self.own().await.map(|own| (config.me, Ok(own))));
                waits.tell(config, &told, self.is_formatted().await);
            }
            // The leader may have gone on meanwhile.
            let led = self.led.notified();
            runtime::timeout(&self.rt, pause, led).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn leader(&self, config: &ClusterConfig) -> Result<Leader<Layout>, OpenError> {
        let nodes: Vec<u16> = config.drives.iter().map(|drive| drive.node).collect();
        let fresh = Layout::new(&nodes, config.set_size, &mut || runtime::random_id(&self.rt))?;
        Ok(Leader::new(config.hosts.len(), fresh, of_formation(self.rt.mutation())))
    }

    /// Takes what another node has found, or nothing. Returns the layout of the deployment once this node's drives may
    /// serve; those that had begun are complete then.
    async fn learn(&self, others: &[Found<Layout>]) -> Result<Option<Layout>, OpenError> {
        let mut state = self.state.lock().await;
        let State::Starts(own) = &mut *state else {
            return Ok(None);
        };
        if let Some(layout) = own.machine.learn(others) {
            let adopts = of_formation(self.rt.mutation()).is(Mutant::AdoptsEmpty);
            let complete = move |drives: &mut OwnDrives| {
                if adopts {
                    drives.begin(&layout)?;
                }
                drives.complete(&layout)
            };
            own.run(complete).await?;
        }
        let found = own.machine.found();
        let complete = |found: &[Found<Layout>]| {
            found.iter().find_map(|found| match found {
                Found::Complete(layout) => Some(layout.clone()),
                _ => None,
            })
        };
        Ok(match complete(found) {
            Some(layout) => own.machine.serves(others).then_some(layout),
            // Its drives were lost or replaced since: unknown, never empty.
            None if !found.iter().any(|found| matches!(found, Found::Begun(_))) => complete(others),
            None => None,
        })
    }

    /// Returns what this node would tell another one. It is no request of the leader, and wakes nobody.
    async fn own(&self) -> Option<Told> {
        match &*self.state.lock().await {
            State::Starts(own) => Some(own.told(Reply::Found(own.machine.found().to_vec()))),
            State::Before | State::Open(_) => None,
        }
    }

    /// Returns whether a drive of this node is complete: then this is no first start.
    async fn is_formatted(&self) -> bool {
        let is_complete = |found: &Found<Layout>| matches!(found, Found::Complete(_));
        match &*self.state.lock().await {
            State::Starts(own) => own.machine.found().iter().any(is_complete),
            State::Before | State::Open(_) => false,
        }
    }

    /// Asks all other nodes what is on their drives.
    async fn ask_all(&self, links: &BTreeMap<u16, Arc<Link>>) -> Vec<Answer> {
        let asked = links.iter().map(|(node, link)| async {
            let told = ask(link, &Question::Ask).await;
            (*node, told)
        });
        join_all(asked).await
    }

    /// Makes one round of requests as the leader. Returns the answers, and whether the start has got further.
    async fn lead(
        self: &Arc<Self>,
        config: &ClusterConfig,
        links: &BTreeMap<u16, Arc<Link>>,
        leader: &mut Leader<Layout>,
    ) -> (Vec<Answer>, bool) {
        let before = leader.standing();
        if matches!(before, Standing::Refused | Standing::Divided) {
            (0..config.hosts.len()).for_each(|node| leader.forget(node));
        }
        let boot = Caller { node: 0, boot: 0 };
        let requests = (0..).zip(0..config.hosts.len());
        let requests = requests.filter_map(|(node, at)| Some((node, at, leader.look(at), leader.next(at)?)));
        let asked = requests.map(|(node, at, look, request): (u16, usize, u64, _)| async move {
            let question = Question::Lead(look, request.clone());
            let told = match links.get(&node) {
                Some(link) => ask(link, &question).await,
                None => Ok(self.answer(boot, question).await),
            };
            (node, at, request, told)
        });
        let asked: Vec<_> = asked.collect();
        let mut answers = Vec::with_capacity(asked.len());
        for (node, at, request, told) in join_all(asked).await {
            match &told {
                Ok(told) => leader.on(at, told.reply.clone(), &request),
                Err(_) => leader.forget(at),
            }
            answers.push((node, told));
        }
        let standing = leader.standing();
        if standing != before {
            match &standing {
                Standing::Begins(layout) => {
                    tracing::info!(deployment = %layout.deployment(), "all drives are there: they are being formatted");
                }
                // On a later start it is so from the beginning.
                Standing::Formed(layout) if matches!(before, Standing::Begins(_) | Standing::Completes(_)) => {
                    tracing::info!(deployment = %layout.deployment(), "the drives of the deployment are formatted");
                }
                _ => {}
            }
        }
        let goes_on = matches!(
            standing,
            Standing::Confirms | Standing::Begins(_) | Standing::Completes(_) | Standing::Formed(_)
        );
        (answers, standing != before && goes_on)
    }

    /// Answers a question, once those before it are answered. What is begun is ended, also when nobody waits any more.
    async fn answer(&self, from: Caller, question: Question) -> Told {
        let (send, told) = oneshot::channel();
        let (state, led) = (self.state.clone(), self.led.clone());
        spawn(&self.rt, "start", async move {
            let mut state = state.lock().await;
            let told = match &mut *state {
                State::Before => Told::refused("it has not looked at its drives yet"),
                State::Starts(own) => own.answer(from, question).await,
                State::Open(layout) => Told {
                    reply: match question {
                        Question::Ask | Question::Lead(_, formation::Request::Look) => {
                            Reply::Found(vec![Found::Complete(layout.clone())])
                        }
                        Question::Lead(..) => Reply::Refused,
                    },
                    reasons: Vec::new(),
                },
            };
            drop(state);
            led.notify_one();
            send.send(told).ok();
        });
        told.await.unwrap_or_else(|_| Told::refused("it is shutting down"))
    }
}

impl Own {
    async fn answer(&mut self, from: Caller, question: Question) -> Told {
        let (number, request) = match question {
            Question::Ask => return self.told(Reply::Found(self.machine.found().to_vec())),
            Question::Lead(number, request) => (number, request),
        };
        if matches!(request, formation::Request::Look | formation::Request::Confirm(_))
            && let Err(error) = self.run(OwnDrives::look_again).await
        {
            return Told::refused(error.to_string());
        }
        let look = Look {
            boot: from.boot,
            number,
        };
        let done = match self.machine.on(look, request) {
            Job::Answer(reply) => return self.told(reply),
            Job::Begin(layout) => self
                .run(move |drives| drives.begin(&layout))
                .await
                .map(|()| Reply::Begun),
            Job::Complete(layout) => self
                .run(move |drives| drives.complete(&layout))
                .await
                .map(|()| Reply::Complete),
        };
        match done {
            Ok(reply) => self.told(reply),
            Err(error) => {
                tracing::warn!(%error, "a drive cannot be formatted");
                Told::refused(error.to_string())
            }
        }
    }

    fn told(&self, reply: Reply<Layout>) -> Told {
        let reasons = self.drives.as_ref().map(OwnDrives::refusals).unwrap_or_default();
        Told { reply, reasons }
    }

    /// Runs a blocking job on the drives, and notes what is on them then.
    async fn run<T: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut OwnDrives) -> Result<T, FormatError> + Send + 'static,
    ) -> Result<T, OpenError> {
        let Some(mut drives) = self.drives.take() else {
            return Err(OpenError::Ending);
        };
        let ran = runtime::run(&self.executor, Lane::Data, move || {
            let done = job(&mut drives);
            (drives, done)
        });
        let (drives, done) = ran.await.map_err(|_| OpenError::Ending)?;
        for (at, found) in drives.found().into_iter().enumerate() {
            self.machine.set(at, found);
        }
        self.drives = Some(drives);
        Ok(done?)
    }
}

impl Service for Start {
    fn call(&self, caller: Caller, request: Request) -> BoxFuture<Result<Payload, Refusal>> {
        let start = Start {
            rt: self.rt.clone(),
            state: self.state.clone(),
            led: self.led.clone(),
        };
        Box::pin(async move {
            if request.service != SERVICE {
                return Err(Refusal::NoService);
            }
            let question = postcard::from_bytes(&request.payload).map_err(|_| Refusal::Malformed)?;
            // Only the node of the first endpoint leads.
            if matches!(question, Question::Lead(..)) && caller.node != 0 {
                return Err(Refusal::Malformed);
            }
            let told = start.answer(caller, question).await;
            Ok(postcard::to_stdvec(&told).map_err(|_| Refusal::Malformed)?.into())
        })
    }
}

/// A node, and its answer, or why there is none.
type Answer = (u16, Result<Told, String>);

async fn ask(link: &Link, question: &Question) -> Result<Told, String> {
    let payload = postcard::to_stdvec(question).map_err(|error| error.to_string())?;
    let answer = link.call(SERVICE, payload, ANSWER_WAIT).await;
    let answer = answer.map_err(|error| error.to_string())?;
    postcard::from_bytes(&answer).map_err(|_| "its answer cannot be read".to_owned())
}

/// Returns which of a node's drives were begun, and for which deployments.
fn begun(config: &ClusterConfig, node: u16, found: &[Found<Layout>]) -> Vec<(String, Uuid)> {
    let places = config.drives.iter().filter(|place| place.node == node);
    let begun = places.zip(found).filter_map(|(place, found)| match found {
        Found::Begun(layout) => {
            let drive = format!("{}{}", config.name(node), place.path.display());
            Some((drive, layout.deployment()))
        }
        _ => None,
    });
    begun.collect()
}

/// What a start that waits has told the operator.
#[derive(Default)]
struct Waits {
    /// What is in the way at each node, or why it has not answered.
    nodes: BTreeMap<String, Result<Vec<String>, String>>,
    /// Deployments under which drives were begun, at each node.
    begun: BTreeMap<u16, Vec<(String, Uuid)>>,
    told: String,
}

impl Waits {
    /// Logs for whom a start waits, and what is in its way, once for each change. A node of which a drive
    /// `is_formatted` needs one other node, and no first start.
    fn tell(&mut self, config: &ClusterConfig, answers: &[Answer], is_formatted: bool) {
        for (node, answer) in answers {
            if let Ok(told) = answer
                && let Reply::Found(found) = &told.reply
            {
                self.begun.insert(*node, begun(config, *node, found));
            }
            let answer = answer.as_ref().map(|told| told.reasons.clone()).map_err(String::clone);
            self.nodes.insert(config.name(*node), answer);
        }
        let absent = self.nodes.iter().filter_map(|(name, answer)| {
            let reason = answer.as_ref().err()?;
            Some(format!("{name}: {reason}"))
        });
        let refused = self.nodes.iter().filter_map(|(name, answer)| {
            let reasons = answer.as_ref().ok().filter(|reasons| !reasons.is_empty())?;
            Some(format!("{name}: {}", reasons.join(", ")))
        });
        let (absent, refused): (Vec<String>, Vec<String>) = (absent.collect(), refused.collect());
        let (absent, refused) = (absent.join("; "), refused.join("; "));
        let deployments: BTreeSet<&Uuid> = self.begun.values().flatten().map(|(_, id)| id).collect();
        let is_divided = deployments.len() > 1;
        let begun = self.begun.values().flatten().filter(|_| is_divided);
        let begun = begun.map(|(drive, id)| format!("{drive}: deployment {id}"));
        let begun = begun.collect::<Vec<_>>().join(", ");
        let told = format!("{absent}|{refused}|{begun}");
        if told == self.told {
            return;
        }
        self.told = told;
        if is_divided {
            tracing::error!(
                begun,
                "first start: drives were begun for different deployments: mount those that belong together, and give \
                 folders that are missing or empty in the place of the others; nothing is written until then"
            );
        }
        if !refused.is_empty() {
            tracing::error!(
                refused,
                "first start: a new deployment is made only in folders that are missing or empty, and these are not: \
                 look whether the right file systems are mounted there, or give other folders; nothing is written \
                 until then"
            );
        }
        if is_formatted && !absent.is_empty() {
            tracing::warn!(
                waiting_for = absent,
                "waits for another node with formatted drives, since this one has fewer than two of its own"
            );
        } else if !absent.is_empty() {
            let nodes = config.hosts.len();
            tracing::warn!(waiting_for = absent, nodes, "first start: waits for all nodes");
        }
        if absent.is_empty() && refused.is_empty() && !is_divided {
            let leader = config.name(0);
            tracing::info!(
                leader,
                "first start: waits for the node of the first endpoint to format all drives"
            );
        }
    }
}
