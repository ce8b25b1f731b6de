//! Gossipsub: topics under `/madang/<network>/`, validated before they are forwarded, with peers scored.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use libp2p::PeerId;
use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, IdentityTransform, MaxCountSubscriptionFilter,
    MessageAcceptance, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds,
    TopicHash, TopicSubscriptionFilter, ValidationMode,
};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::config::BuildError;
use super::policy::{Policy, Verdict};

/// Largest message.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;
/// Topics of one peer. Gossipsub refuses the whole first message of a peer with more than 100.
const TOPICS_PER_PEER: usize = 100;
/// Messages of one topic that wait for their reader; further ones are dropped, and come again from no one.
const WAITING_MESSAGES: usize = 256;
/// Peers behind one address before it counts against them. A household, a campus or a carrier's NAT is no attack.
const PEERS_PER_ADDRESS: f64 = 64.0;

/// A message that passed the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipMessage {
    /// The peer that passed it on; not its author.
    pub source: PeerId,
    /// The message, as published.
    pub data: Vec<u8>,
}

/// Why a message was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PublishError {
    /// The same bytes were published or seen on this topic a moment ago.
    #[error("the message was published already")]
    Duplicate,
    /// No peer that follows the topic is connected.
    #[error("no connected peer follows this topic")]
    NoPeers,
    /// Larger than gossip carries.
    #[error("the message is too large for gossip")]
    TooLarge,
    /// The queues toward all peers are full, or the topic cannot be followed.
    #[error("gossip cannot take the message now")]
    Busy,
    /// This mesh has been shut down.
    #[error("the mesh is closed")]
    Closed,
}

/// What a [`super::Handle`] asks of gossip. Topics are given without the network's prefix.
#[derive(Debug)]
pub(super) enum Command {
    Subscribe {
        topic: String,
        reply: oneshot::Sender<Result<mpsc::Receiver<GossipMessage>, PublishError>>,
    },
    Unsubscribe {
        topic: String,
    },
    Publish {
        topic: String,
        data: Vec<u8>,
        reply: oneshot::Sender<Result<(), PublishError>>,
    },
}

type Gossipsub = gossipsub::Behaviour<IdentityTransform, TopicFilter>;

/// The gossipsub behaviour of a network.
///
/// # Errors
/// [`BuildError::Protocol`] if gossipsub refuses our constants.
pub(super) fn behaviour(network: &str) -> Result<Gossipsub, BuildError> {
    let wrong = |reason: String| BuildError::Protocol {
        protocol: "gossipsub",
        reason,
    };
    let config = ConfigBuilder::default()
        .protocol_id_prefix(format!("/madang/{network}/gossip"))
        .max_transmit_size(MESSAGE_BYTES_MAX)
        .heartbeat_initial_delay(Duration::from_secs(1))
        // What is published is signed by its author inside, and recognised by its bytes.
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|message| message_id(&message.topic, &message.data))
        .validate_messages()
        .build()
        .map_err(|error| wrong(error.to_string()))?;
    let filter = TopicFilter {
        filter: NetworkTopics {
            prefix: prefix(network),
        },
        max_subscribed_topics: TOPICS_PER_PEER,
        max_subscriptions_per_request: TOPICS_PER_PEER,
    };
    let mut gossip =
        Gossipsub::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
            .map_err(|error| wrong(error.to_owned()))?;
    let score = PeerScoreParams {
        ip_colocation_factor_threshold: PEERS_PER_ADDRESS,
        ip_colocation_factor_whitelist: [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]
        .into(),
        ..PeerScoreParams::default()
    };
    gossip
        .with_peer_score(score, PeerScoreThresholds::default())
        .map_err(wrong)?;
    Ok(gossip)
}

fn prefix(network: &str) -> String {
    format!("/madang/{network}/")
}

fn message_id(topic: &TopicHash, data: &[u8]) -> MessageId {
    let mut hash = Sha256::new();
    hash.update(topic.as_str());
    hash.update([0]);
    hash.update(data);
    MessageId(hash.finalize()[..20].to_vec())
}

/// Topics that may be followed: those of this network.
#[derive(Debug, Clone)]
pub(super) struct NetworkTopics {
    prefix: String,
}

/// Topics that peers may follow: those of this network, and not too many.
pub(super) type TopicFilter = MaxCountSubscriptionFilter<NetworkTopics>;

impl TopicSubscriptionFilter for NetworkTopics {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        topic.as_str().starts_with(&self.prefix)
    }
}

/// The topics that we follow, and their readers.
pub(super) struct Gossip {
    prefix: String,
    readers: HashMap<TopicHash, mpsc::Sender<GossipMessage>>,
}

impl Gossip {
    pub(super) fn new(network: &str) -> Self {
        Self {
            prefix: prefix(network),
            readers: HashMap::new(),
        }
    }

    /// Does what was asked for.
    pub(super) fn handle_command(&mut self, gossip: &mut Gossipsub, command: Command) {
        // In each case, the one who asked may have given up.
        match command {
            Command::Subscribe { topic, reply } => {
                let _ = reply.send(self.subscribe(gossip, &topic));
            }
            Command::Unsubscribe { topic } => {
                let topic = self.topic(&topic);
                self.readers.remove(&topic.hash());
                gossip.unsubscribe(&topic);
            }
            Command::Publish { topic, data, reply } => {
                let published = gossip.publish(self.topic(&topic), data).map(drop).map_err(
                    |error| match error {
                        gossipsub::PublishError::Duplicate => PublishError::Duplicate,
                        gossipsub::PublishError::NoPeersSubscribedToTopic => PublishError::NoPeers,
                        gossipsub::PublishError::MessageTooLarge => PublishError::TooLarge,
                        gossipsub::PublishError::SigningError(_)
                        | gossipsub::PublishError::TransformFailed(_)
                        | gossipsub::PublishError::AllQueuesFull(_) => PublishError::Busy,
                    },
                );
                let _ = reply.send(published);
            }
        }
    }

    /// Takes in what gossipsub reports.
    pub(super) fn handle_event(
        &mut self,
        gossip: &mut Gossipsub,
        policy: &mut dyn Policy,
        event: gossipsub::Event,
    ) {
        let gossipsub::Event::Message {
            propagation_source: source,
            message_id,
            message,
        } = event
        else {
            return;
        };
        let topic = message.topic.as_str().strip_prefix(&self.prefix);
        let verdict = topic.map_or(Verdict::Reject, |topic| {
            policy.judge_message(topic, &message.data, source)
        });
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        gossip.report_message_validation_result(&message_id, &source, acceptance);
        if verdict == Verdict::Accept
            && let Some(reader) = self.readers.get(&message.topic)
            && let Err(mpsc::error::TrySendError::Full(_)) = reader.try_send(GossipMessage {
                source,
                data: message.data,
            })
        {
            tracing::debug!(topic = %message.topic, "a gossip message found no room at its reader");
        }
    }

    fn topic(&self, name: &str) -> IdentTopic {
        IdentTopic::new(format!("{}{name}", self.prefix))
    }

    fn subscribe(
        &mut self,
        gossip: &mut Gossipsub,
        name: &str,
    ) -> Result<mpsc::Receiver<GossipMessage>, PublishError> {
        let topic = self.topic(name);
        gossip.subscribe(&topic).map_err(|_| PublishError::Busy)?;
        let (sender, receiver) = mpsc::channel(WAITING_MESSAGES);
        self.readers.insert(topic.hash(), sender);
        Ok(receiver)
    }
}
