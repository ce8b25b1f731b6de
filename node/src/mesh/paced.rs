//! A transport that gives the others a head start when a peer is dialed by several at once.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::Multiaddr;
use libp2p::core::transport::{DialOpts, ListenerId, Transport, TransportError, TransportEvent};

/// Dials after a delay; does everything else at once.
pub(super) struct Paced<T> {
    inner: T,
    delay: Duration,
}

impl<T> Paced<T> {
    pub(super) fn new(inner: T, delay: Duration) -> Self {
        Self { inner, delay }
    }
}

impl<T> Transport for Paced<T>
where
    T: Transport + Unpin,
    T::Dial: Send + 'static,
{
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<T::Output, T::Error>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        let dial = self.inner.dial(address, options)?;
        let delay = self.delay;
        Ok(async move {
            tokio::time::sleep(delay).await;
            dial.await
        }
        .boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::future::poll_fn;

    use libp2p::core::Endpoint;
    use libp2p::core::transport::MemoryTransport;
    use libp2p::core::transport::PortUse;
    use libp2p::core::transport::dummy::DummyTransport;
    use tokio::time::Instant;

    use super::*;

    const OPTIONS: DialOpts = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::Reuse,
    };

    #[tokio::test(start_paused = true)]
    async fn a_dial_starts_after_its_delay() {
        let mut listener = MemoryTransport::default();
        listener
            .listen_on(ListenerId::next(), "/memory/0".parse().unwrap())
            .unwrap();
        let event = poll_fn(|cx| Pin::new(&mut listener).poll(cx)).await;
        let TransportEvent::NewAddress { listen_addr, .. } = event else {
            panic!("expected an address: {event:?}");
        };
        let delay = Duration::from_millis(70);
        let mut paced = Paced::new(MemoryTransport::default(), delay);
        let start = Instant::now();
        paced.dial(listen_addr, OPTIONS).unwrap().await.unwrap();
        assert!(start.elapsed() >= delay);
    }

    #[test]
    fn an_address_of_another_transport_is_refused_at_once() {
        let mut paced = Paced::new(DummyTransport::<()>::new(), Duration::from_secs(1));
        assert!(paced.dial("/memory/1".parse().unwrap(), OPTIONS).is_err());
    }
}
