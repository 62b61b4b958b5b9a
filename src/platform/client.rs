//! Where a request comes from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The address of the client: on every request, laid there by the outermost layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// What shares one limit: an IPv4 address, or the /64 of an IPv6 one, which is what a single customer gets.
    pub fn network(self) -> IpAddr {
        network(self.0)
    }
}

pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// The header in which proxies say for whom they ask. Only one is read: a proxy that writes the one passes
/// on what the client put in the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    #[default]
    XForwardedFor,
    Forwarded,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Networks that a setting names: proxies whose word is taken for where a request comes from, say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Networks(Vec<IpNet>);

impl Networks {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Who is asking: the peer, unless it is trusted; then the last address that a trusted proxy was called from.
    pub fn client(&self, request: &Request, header: ForwardedHeader) -> Option<ClientAddress> {
        let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
        let mut client = peer.ip().to_canonical();
        let mut hops = hops(request.headers(), header).into_iter().rev();
        while self.contains(client) {
            // What cannot be read ends the chain: nobody vouches for what stands before it.
            let Some(Some(hop)) = hops.next() else { break };
            client = hop;
        }
        Some(ClientAddress(client))
    }
}

/// The addresses that the proxies noted, in their order; `None` for one that is none.
fn hops(headers: &HeaderMap, header: ForwardedHeader) -> Vec<Option<IpAddr>> {
    let name = match header {
        ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
        ForwardedHeader::Forwarded => header::FORWARDED,
    };
    let lines = headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or_default());
    let items = lines.flat_map(|line| line.split(','));
    items
        .map(|item| match header {
            ForwardedHeader::XForwardedFor => node(item),
            ForwardedHeader::Forwarded => item.split(';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.trim().eq_ignore_ascii_case("for").then(|| node(value))?
            }),
        })
        .collect()
}

/// An address as proxies write it: with or without port, brackets and quotes.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|at| at.ip()));
    address.map(|address| address.to_canonical())
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let networks = items.map(|item| {
            let address = || item.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
            item.parse::<IpNet>()
                .ok()
                .or_else(address)
                .ok_or_else(|| format!("'{item}' is neither an address nor a network (10.0.0.0/8)"))
        });
        networks.collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<String> for Networks {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Networks> for String {
    fn from(networks: Networks) -> Self {
        networks.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn client(peer: &str, name: &str, values: &[&str]) -> String {
        let proxies: Networks = "127.0.0.1, 10.0.0.0/8, fd00::/8".parse().unwrap();
        let mut request = Request::builder();
        for value in values {
            request = request.header(name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        let header = if name == "forwarded" { ForwardedHeader::Forwarded } else { ForwardedHeader::XForwardedFor };
        proxies.client(&request, header).unwrap().0.to_string()
    }

    #[test]
    fn only_a_trusted_peer_is_believed() {
        let xff = "x-forwarded-for";
        assert_eq!(client("203.0.113.9", xff, &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", xff, &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", xff, &[]), "127.0.0.1");
        assert_eq!(client("::ffff:127.0.0.1", xff, &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn what_the_client_itself_wrote_is_not() {
        let xff = "x-forwarded-for";
        assert_eq!(client("127.0.0.1", xff, &["1.1.1.1, 198.51.100.1, 10.1.2.3"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", xff, &["1.1.1.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", xff, &["1.1.1.1, unknown, 10.1.2.3"]), "10.1.2.3");
        assert_eq!(client("127.0.0.1", xff, &["10.0.0.1, 10.0.0.2"]), "10.0.0.1");
        assert_eq!(client("127.0.0.1", xff, &["198.51.100.1:4711"]), "198.51.100.1");
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_writes_it() {
        let value = "for=1.1.1.1, For=\"[2001:db8::17]:4711\";proto=https;by=10.0.0.1, for=10.2.2.2";
        assert_eq!(client("fd00::1", "forwarded", &[value]), "2001:db8::17");
        assert_eq!(client("10.0.0.1", "forwarded", &["for=_hidden"]), "10.0.0.1");
    }

    #[test]
    fn an_ipv6_customer_is_one() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
    }
}
