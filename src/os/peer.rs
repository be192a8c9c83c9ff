//! The sockets of other processes, looked at through a copy of their descriptor (pidfd_getfd(2)).

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_void, socklen_t};

use super::error::last_errno;
use super::OsError;
use crate::base::Pid;

/// The longest address, bytes (`struct sockaddr_storage`).
const LONGEST: usize = 128;

/// Both ends of a socket, each a `struct sockaddr` of the kernel's; empty where there is none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SocketFacts {
    /// This end.
    pub local: Vec<u8>,
    /// The other end.
    pub peer: Vec<u8>,
}

/// The ends of a socket of another process.
pub fn inspect_socket(pid: Pid, fd: RawFd) -> Result<SocketFacts, OsError> {
    let copy = copy_descriptor(pid, fd)?;
    let local = address(&copy, libc::getsockname);
    Ok(SocketFacts { local, peer: address(&copy, libc::getpeername) })
}

/// The greatest number of connections that wait at a listening TCP socket (tcpi_sacked of `struct tcp_info`).
pub fn listen_backlog(pid: Pid, fd: RawFd) -> Result<u32, OsError> {
    let copy = copy_descriptor(pid, fd)?;
    // SAFETY: `struct tcp_info` is plain numbers, for which zeros are valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as socklen_t;
    // SAFETY: getsockopt(2) stores at most `length` bytes into `info`, which has so many.
    let done = unsafe {
        let into = std::ptr::from_mut(&mut info).cast::<c_void>();
        libc::getsockopt(copy.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, into, &mut length)
    };
    match done {
        0 => Ok(info.tcpi_sacked),
        _ => Err(failed("TCP_INFO")),
    }
}

fn failed(what: &'static str) -> OsError {
    OsError::Call { what, source: std::io::Error::from_raw_os_error(last_errno()) }
}

fn copy_descriptor(pid: Pid, fd: RawFd) -> Result<OwnedFd, OsError> {
    // SAFETY: both calls take numbers only; what they return are descriptors that are ours alone.
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, pid.0, 0);
        if process < 0 {
            return Err(failed("pidfd_open"));
        }
        let process = OwnedFd::from_raw_fd(process as RawFd);
        let copy = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0);
        if copy < 0 {
            return Err(failed("pidfd_getfd"));
        }
        Ok(OwnedFd::from_raw_fd(copy as RawFd))
    }
}

/// getsockname(2) or getpeername(2).
type AddressCall = unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut socklen_t) -> libc::c_int;

fn address(socket: &OwnedFd, call: AddressCall) -> Vec<u8> {
    let mut bytes = vec![0u8; LONGEST];
    let mut length = LONGEST as socklen_t;
    // SAFETY: the call stores at most `length` bytes at the start of `bytes`, which has so many.
    let done = unsafe { call(socket.as_raw_fd(), bytes.as_mut_ptr().cast(), &mut length) };
    bytes.truncate(if done == 0 { (length as usize).min(LONGEST) } else { 0 });
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn both_ends_of_a_connection_and_the_backlog_are_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let own = Pid(std::process::id() as i32);
        let facts = inspect_socket(own, client.as_raw_fd()).unwrap();
        assert_eq!(facts.peer[..8], [2, 0, (port >> 8) as u8, port as u8, 127, 0, 0, 1]);
        assert_eq!(facts.local[..2], [2, 0]);
        // The standard library listens with 128 (a smaller somaxconn would cut it).
        assert!((1..=4096).contains(&listen_backlog(own, listener.as_raw_fd()).unwrap()));
        assert!(inspect_socket(own, -1).is_err());
    }
}
