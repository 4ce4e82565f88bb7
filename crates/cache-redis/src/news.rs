//! What nodes tell each other of their changes.
//!
//! Every change is published in the transaction that makes it, so nobody changes without telling. A node hears its own messages too
//! and knows them by their first bytes. Redis keeps no message for whoever is not there: after a subscription was
//! lost, anything may have changed.
//!
//! ```text
//!  0  16  the node that tells
//! 16   1  `k`: keys follow, each as u32 length (little-endian) and text; `p`: the text of a pattern follows
//! ```

use futures_util::StreamExt;
use prefix_indexer_cache::{Invalidation, Pattern};
use redis::{
    Client, Msg, RedisResult, Value,
    aio::{PubSub, PubSubSink, PubSubStream},
};
use std::{
    collections::hash_map::RandomState,
    future::Future,
    hash::{BuildHasher, Hasher},
    io,
    time::Duration,
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

/// How many messages may wait for a cache that is busy; beyond, it is told that anything may have changed.
const WAITING: usize = 1024;

/// How often a silent subscription is asked whether it lives.
const ASK_EVERY: Duration = Duration::from_secs(5);

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(2);

/// Who tells: random, so that no two nodes are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node([u8; 16]);

impl Node {
    pub(crate) fn random() -> Node {
        let random = || RandomState::new().build_hasher().finish().to_le_bytes();
        let mut node = [0; 16];
        node[..8].copy_from_slice(&random());
        node[8..].copy_from_slice(&random());
        Node(node)
    }

    /// The message that these keys were changed.
    pub(crate) fn keys<'a>(self, keys: impl Iterator<Item = &'a str>) -> Vec<u8> {
        let mut message = self.0.to_vec();
        message.push(b'k');
        for key in keys {
            message.extend_from_slice(&(key.len() as u32).to_le_bytes());
            message.extend_from_slice(key.as_bytes());
        }
        message
    }

    /// The message that what matches was cleared.
    pub(crate) fn pattern(self, pattern: &Pattern) -> Vec<u8> {
        [&self.0[..], b"p", pattern.as_str().as_bytes()].concat()
    }

    /// What a message of another node says: nothing if it is an own one, everything if it cannot be read.
    fn heard(self, message: &[u8]) -> Vec<Invalidation> {
        let Some((node, rest)) = message.split_first_chunk::<16>() else { return vec![Invalidation::All] };
        if *node == self.0 {
            return Vec::new();
        }
        let news = match rest.split_first() {
            Some((b'k', keys)) => read_keys(keys),
            Some((b'p', pattern)) => {
                std::str::from_utf8(pattern).ok().map(|text| vec![Invalidation::Matching(Pattern::new(text))])
            }
            _ => None,
        };
        news.unwrap_or_else(|| vec![Invalidation::All])
    }
}

fn read_keys(mut rest: &[u8]) -> Option<Vec<Invalidation>> {
    let mut news = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (key, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        news.push(Invalidation::Key(std::str::from_utf8(key).ok()?.to_owned()));
        rest = after;
    }
    Some(news)
}

/// Listens to a channel of a server until nobody wants to know any more.
pub(crate) struct Listener {
    pub(crate) client: Client,
    pub(crate) channel: String,
    pub(crate) node: Node,
    pub(crate) connect_timeout: Duration,
}

impl Listener {
    /// Subscribes, if the server answers, and goes on listening in a task. What is heard comes out of the receiver; the task
    /// ends when that is dropped.
    pub(crate) async fn start(self) -> mpsc::Receiver<Invalidation> {
        let (tell, told) = mpsc::channel(WAITING);
        // Before anything is read through this tier: nothing is missed from here on.
        let subscribed = self.subscribe().await;
        if let Err(error) = &subscribed {
            tracing::warn!(%error, "cannot hear yet what other nodes change");
        }
        tokio::spawn(self.listen(subscribed.ok(), Teller { tell, behind: false }));
        told
    }

    async fn subscribe(&self) -> RedisResult<PubSub> {
        within(self.connect_timeout, async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(&self.channel).await?;
            Ok(subscription)
        })
        .await
    }

    async fn listen(self, mut subscription: Option<PubSub>, mut teller: Teller) {
        let mut retry = RETRY_FIRST;
        while !teller.tell.is_closed() {
            let subscribed = match subscription.take() {
                Some(subscribed) => subscribed,
                None => match self.subscribe().await {
                    Ok(subscribed) => {
                        tracing::info!("hearing again what other nodes change");
                        // What was told meanwhile nobody heard.
                        teller.all();
                        subscribed
                    }
                    Err(_) => {
                        tokio::select! {
                            () = sleep(retry) => {}
                            () = teller.tell.closed() => return,
                        }
                        retry = (retry * 2).min(RETRY_LAST);
                        continue;
                    }
                },
            };
            retry = RETRY_FIRST;
            let (sink, stream) = subscribed.split();
            self.hear(sink, stream, &mut teller).await;
            tracing::warn!("no longer hearing what other nodes change");
            teller.all();
        }
    }

    /// Until the subscription is lost or nobody wants to know.
    async fn hear(&self, mut sink: PubSubSink, mut stream: PubSubStream, teller: &mut Teller) {
        let mut ask = interval(ASK_EVERY);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ask.tick().await;
        let tell = teller.tell.clone();
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(message) => teller.news(self.heard(&message)),
                    None => return,
                },
                permit = tell.reserve(), if teller.behind => match permit {
                    Ok(permit) => {
                        permit.send(Invalidation::All);
                        teller.behind = false;
                    }
                    Err(_) => return,
                },
                _ = ask.tick() => {
                    if within(self.connect_timeout, sink.ping::<Value>()).await.is_err() {
                        return;
                    }
                }
                () = tell.closed() => return,
            }
        }
    }

    fn heard(&self, message: &Msg) -> Vec<Invalidation> {
        self.node.heard(message.get_payload_bytes())
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

struct Teller {
    tell: mpsc::Sender<Invalidation>,
    /// Something could not be told, so everything has to be.
    behind: bool,
}

impl Teller {
    fn news(&mut self, news: Vec<Invalidation>) {
        for one in news {
            if self.behind {
                return;
            }
            if let Err(TrySendError::Full(_)) = self.tell.try_send(one) {
                self.behind = true;
            }
        }
    }

    fn all(&mut self) {
        self.behind = self.tell.try_send(Invalidation::All).is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_heard_as_they_were_told() {
        let (here, there) = (Node::random(), Node::random());
        let keys = there.keys(["a/1", "ü"].into_iter());
        assert_eq!(here.heard(&keys), [Invalidation::Key("a/1".into()), Invalidation::Key("ü".into())]);
        let pattern = Pattern::new("a/*");
        assert_eq!(here.heard(&there.pattern(&pattern)), [Invalidation::Matching(pattern)]);
        assert_eq!(there.heard(&keys), []);
        for strange in [&b""[..], b"short", &keys[..keys.len() - 1], &[7; 30]] {
            assert_eq!(here.heard(strange), [Invalidation::All], "{strange:?}");
        }
    }

    #[tokio::test]
    async fn who_cannot_be_told_in_time_is_told_that_anything_may_have_changed() {
        let (tell, mut told) = mpsc::channel(2);
        let mut teller = Teller { tell, behind: false };
        let key = |name: &str| Invalidation::Key(name.into());
        teller.news(vec![key("a"), key("b"), key("c")]);
        assert!(teller.behind);
        assert_eq!((told.recv().await, told.recv().await), (Some(key("a")), Some(key("b"))));
        teller.news(vec![key("d")]);
        assert!(told.try_recv().is_err(), "nothing by itself while behind");
        teller.all();
        assert_eq!((told.recv().await, teller.behind), (Some(Invalidation::All), false));
    }
}
