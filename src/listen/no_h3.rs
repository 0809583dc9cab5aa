//! In place of `h3` where it is left out (feature `http3`): nobody can switch it on, so nothing of this ever is.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use tokio::sync::watch;

use super::certs::Certificates;
use super::gate::Place;
use super::tickets::TicketKeys;
use crate::config::Config;
use crate::edge::Edge;
use crate::observe::metrics::Metrics;

#[derive(Debug, Clone)]
pub(super) struct Offer(Infallible);

impl Offer {
    pub(super) fn new(_: &Arc<Certificates>, _: &Config, _: Option<&TicketKeys>) -> Option<Self> {
        None
    }
}

pub(super) fn bind(_: SocketAddr) -> io::Result<UdpSocket> {
    Err(io::ErrorKind::Unsupported.into())
}

#[derive(Debug)]
pub(super) struct Reception(Infallible);

#[derive(Debug)]
pub(super) struct Arrivals(Infallible);

#[derive(Debug)]
pub(super) struct Arrival(Infallible);

pub(super) fn open(
    _: UdpSocket,
    offer: &Offer,
    _: usize,
    _: usize,
    _: &Arc<Metrics>,
    _: watch::Receiver<bool>,
) -> io::Result<(Reception, Vec<Arrivals>)> {
    match offer.0 {}
}

impl Reception {
    pub(super) fn close(self) {
        match self.0 {}
    }
}

impl Arrivals {
    #[expect(clippy::unused_async, reason = "as where there is HTTP/3")]
    pub(super) async fn next(&mut self) -> Option<Arrival> {
        match self.0 {}
    }
}

impl Arrival {
    #[expect(clippy::unused_async, reason = "as where there is HTTP/3")]
    pub(super) async fn serve(self, _: Place, _: Arc<Edge>, _: watch::Receiver<bool>) {
        match self.0 {}
    }
}
