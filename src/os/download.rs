//! Getting files from servers.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::base::Progress;

/// A server that says nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes that are written together.
const PIECE: usize = 64 << 10;

/// What a server has answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Download {
    /// The whole file, so many bytes.
    Whole(u64),
    /// It does not have it (404).
    NotThere,
}

/// Writes what is at `url` to `to`, `limit` bytes at most; `progress` is told of it, and can cancel it. rdbg speaks plain HTTP
/// itself. For https it calls curl(1), which knows the machine's certificates and proxies: a container that has neither has no
/// use for it, and a TLS library would double what rdbg is built of.
///
/// # Errors
/// What went wrong, for people; the file then holds a part.
pub fn download(url: &str, to: &mut File, limit: u64, progress: &Progress) -> Result<Download, String> {
    match url.split_once("://") {
        Some(("http", _)) => by_http(url, to, limit, progress),
        Some(("https", _)) => by_curl(url, to, limit, progress),
        _ => Err("neither http:// nor https://".to_owned()),
    }
}

fn by_http(url: &str, to: &mut File, limit: u64, progress: &Progress) -> Result<Download, String> {
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .http_status_as_error(false)
        .user_agent(concat!("rdbg/", env!("CARGO_PKG_VERSION")))
        .build();
    let answer = config.new_agent().get(url).call().map_err(|error| error.to_string())?;
    match answer.status().as_u16() {
        200 => {}
        404 => return Ok(Download::NotThere),
        status => return Err(format!("the server answers {status}")),
    }
    let mut body = answer.into_body();
    let total = body.content_length();
    progress.stage(&format!("fetching {url}"), total.unwrap_or(0));
    let copied = copy(&mut body.as_reader(), to, limit, progress)?;
    match total {
        Some(total) if total != copied => Err(format!("it ends after {copied} of {total} bytes")),
        _ => Ok(Download::Whole(copied)),
    }
}

fn by_curl(url: &str, to: &mut File, limit: u64, progress: &Progress) -> Result<Download, String> {
    let patience = PATIENCE.as_secs().to_string();
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--location", "--proto", "=https", "--connect-timeout", "5"]);
    command.args(["--speed-limit", "1", "--speed-time", &patience, "--url", url]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut curl = command.spawn().map_err(|error| {
        format!("https needs curl, which cannot be started here ({error}): fetch it elsewhere, into the same cache directory")
    })?;
    progress.stage(&format!("fetching {url}"), 0);
    let copied = match curl.stdout.take() {
        Some(mut body) => copy(&mut body, to, limit, progress),
        None => Err("curl gives no output".to_owned()),
    };
    if copied.is_err() {
        // It may have ended by itself.
        let _ = curl.kill();
    }
    let output = curl.wait_with_output().map_err(|error| error.to_string())?;
    let copied = copied?;
    match output.status.code() {
        Some(0) => Ok(Download::Whole(copied)),
        // curl(1), EXIT CODES: the server answered 400 or more; --fail names the status.
        Some(22) if String::from_utf8_lossy(&output.stderr).contains("404") => Ok(Download::NotThere),
        // Behind its reason it explains at length.
        _ => Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("curl failed").to_owned()),
    }
}

fn copy(from: &mut dyn Read, to: &mut File, limit: u64, progress: &Progress) -> Result<u64, String> {
    let mut piece = vec![0; PIECE];
    let mut copied = 0;
    loop {
        if progress.is_cancelled() {
            return Err("broken off".to_owned());
        }
        let count = from.read(&mut piece).map_err(|error| error.to_string())?;
        if count == 0 {
            return Ok(copied);
        }
        copied += count as u64;
        if copied > limit {
            return Err(format!("it is larger than {limit} bytes"));
        }
        to.write_all(&piece[..count]).map_err(|error| error.to_string())?;
        progress.advance(count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom};
    use std::net::TcpListener;

    /// A server that gives one answer, and what came of asking it.
    fn ask(answer: &'static [u8], limit: u64) -> (Result<Download, String>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/buildid/ab/debuginfo", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            assert!(client.read(&mut asked).unwrap() > 0);
            // The client may have had enough before.
            let _ = client.write_all(answer);
        });
        let mut file = tempfile::tempfile().unwrap();
        let outcome = download(&url, &mut file, limit, &Progress::default());
        server.join().unwrap();
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        (outcome, bytes)
    }

    #[test]
    fn a_file_is_whole_or_an_error() {
        let whole = ask(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes", 10);
        assert_eq!(whole, (Ok(Download::Whole(5)), b"bytes".to_vec()));
        let chunked = ask(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbytes\r\n0\r\n\r\n", 10);
        assert_eq!(chunked.0, Ok(Download::Whole(5)));
        assert_eq!(ask(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 10).0, Ok(Download::NotThere));
        for bad in [
            b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".as_slice(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nbytes",
            b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nmore than 10",
            b"rubbish\r\n\r\n",
        ] {
            assert!(ask(bad, 10).0.is_err(), "{}", String::from_utf8_lossy(bad));
        }
        let mut file = tempfile::tempfile().unwrap();
        assert!(download("ftp://a/b", &mut file, 1, &Progress::default()).is_err());
    }
}
