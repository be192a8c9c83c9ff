//! Socket addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::constant::{one_of, DOMAINS};
use super::structure::{quote, Rest};
use crate::base::{ReadMem, VirtAddr};

/// `sizeof(struct sockaddr_storage)`: the kernel takes no longer address.
const LONGEST: u64 = 128;

/// The address at `at`, of `length` bytes, as strace shows it. None: it cannot be read.
pub fn sockaddr(mem: &dyn ReadMem, at: VirtAddr, length: u64) -> Option<String> {
    let length = usize::try_from(length.min(LONGEST)).ok()?;
    let mut bytes = vec![0; length];
    mem.read_exact(at, &mut bytes).ok()?;
    Some(parse_sockaddr(&bytes))
}

/// The address in `bytes`.
pub fn parse_sockaddr(bytes: &[u8]) -> String {
    let Some(family) = field(bytes, 0).map(u16::from_le_bytes) else {
        return format!("{{{} bytes}}", bytes.len());
    };
    let name = one_of(family.into(), DOMAINS);
    let rest = match family {
        1 => Some(unix(bytes.get(2..).unwrap_or_default())),
        2 => inet(bytes),
        10 => inet6(bytes),
        16 => netlink(bytes),
        _ => None,
    };
    match rest {
        Some(rest) => format!("{{sa_family={name}{rest}}}"),
        None => format!("{{sa_family={name}, sa_data={}}}", quote(&bytes[2..], Rest::Complete)),
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn inet(bytes: &[u8]) -> Option<String> {
    let port = u16::from_be_bytes(field(bytes, 2)?);
    let address = Ipv4Addr::from(field::<4>(bytes, 4)?);
    Some(format!(", sin_port={port}, sin_addr={address}"))
}

fn inet6(bytes: &[u8]) -> Option<String> {
    let port = u16::from_be_bytes(field(bytes, 2)?);
    let flow = u32::from_be_bytes(field(bytes, 4)?);
    let address = Ipv6Addr::from(field::<16>(bytes, 8)?);
    let scope = field(bytes, 24).map(u32::from_le_bytes).unwrap_or_default();
    let mut text = format!(", sin6_port={port}, sin6_addr={address}");
    if flow != 0 {
        text.push_str(&format!(", sin6_flowinfo={flow}"));
    }
    if scope != 0 {
        text.push_str(&format!(", sin6_scope_id={scope}"));
    }
    Some(text)
}

fn netlink(bytes: &[u8]) -> Option<String> {
    let pid = u32::from_le_bytes(field(bytes, 4)?);
    let groups = u32::from_le_bytes(field(bytes, 8)?);
    Some(format!(", nl_pid={pid}, nl_groups={groups:08x}"))
}

/// A path ends at its NUL; an abstract name starts with one and ends with the length (unix(7)).
fn unix(path: &[u8]) -> String {
    match path {
        [] => String::new(),
        [0, name @ ..] => {
            // Those who pass sizeof(sockaddr_un) have NULs in the name's end; addrlen tells.
            let end = name.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            format!(", sun_path=@{}", quote(&name[..end], Rest::Complete))
        }
        path => {
            let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
            format!(", sun_path={}", quote(&path[..end], Rest::Complete))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_family_are_shown_as_strace_shows_them() {
        let inet = [2, 0, 0x3a, 0x99, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(parse_sockaddr(&inet), "{sa_family=AF_INET, sin_port=15001, sin_addr=127.0.0.1}");
        let mut inet6 = [0u8; 28];
        inet6[..4].copy_from_slice(&[10, 0, 0, 80]);
        inet6[23] = 1;
        assert_eq!(parse_sockaddr(&inet6), "{sa_family=AF_INET6, sin6_port=80, sin6_addr=::1}");
        assert_eq!(parse_sockaddr(b"\x01\x00/run/x\0junk"), r#"{sa_family=AF_UNIX, sun_path="/run/x"}"#);
        assert_eq!(
            parse_sockaddr(b"\x01\x00\0envoy_domain_socket_parent_0\0\0\0\0"),
            r#"{sa_family=AF_UNIX, sun_path=@"envoy_domain_socket_parent_0"}"#
        );
        assert_eq!(parse_sockaddr(b"\x01\x00"), "{sa_family=AF_UNIX}");
        let netlink = [16, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(parse_sockaddr(&netlink), "{sa_family=AF_NETLINK, nl_pid=7, nl_groups=00000001}");
    }

    #[test]
    fn short_and_unknown_addresses_are_not_trusted() {
        assert_eq!(parse_sockaddr(&[2]), "{1 bytes}");
        assert_eq!(parse_sockaddr(&[2, 0, 1]), r#"{sa_family=AF_INET, sa_data="\x01"}"#);
        assert_eq!(parse_sockaddr(&[99, 0, b'a']), r#"{sa_family=99, sa_data="a"}"#);
    }
}
