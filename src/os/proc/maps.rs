//! /proc/PID/maps.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::base::{AddrRange, Mapping, MappingSource, VirtAddr};

/// Decodes /proc/PID/maps, line by line; a line that is none is left out.
pub fn parse_maps(text: &[u8]) -> Vec<Mapping> {
    text.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

/// `start-end rwxp offset major:minor inode   path`, where the path may hold spaces and any byte but newline.
fn parse_line(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut next = || fields.next().and_then(|field| std::str::from_utf8(field).ok());
    let (start, end) = next()?.split_once('-')?;
    let access = next()?.as_bytes();
    let offset = next()?;
    let (major, minor) = next()?.split_once(':')?;
    let inode = next()?.parse().ok()?;
    let name = fields.next().unwrap_or_default();
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    Some(Mapping {
        range: AddrRange { start: VirtAddr(hex(start)?), end: VirtAddr(hex(end)?) },
        read: access.first() == Some(&b'r'),
        write: access.get(1) == Some(&b'w'),
        exec: access.get(2) == Some(&b'x'),
        file_offset: hex(offset)?,
        // In the form of st_dev, so that it can be compared with stat(2).
        file_id: (libc::makedev(hex(major)? as u32, hex(minor)? as u32), inode),
        source: parse_source(name.trim_ascii_start()),
    })
}

fn parse_source(name: &[u8]) -> MappingSource {
    match name.first() {
        None => MappingSource::Anonymous,
        Some(b'[') => MappingSource::Special(String::from_utf8_lossy(name).into_owned()),
        // The kernel says "(deleted)" of shared anonymous memory and of memfds too: all are files to it.
        Some(_) => {
            let stripped = name.strip_suffix(b" (deleted)");
            let path = PathBuf::from(OsString::from_vec(unescape(stripped.unwrap_or(name))));
            MappingSource::File { path, deleted: stripped.is_some() }
        }
    }
}

/// The kernel writes a newline in a path as `\012`, and nothing else in octal.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, tail)) = rest.split_first() {
        match rest.strip_prefix(b"\\012") {
            Some(after) => {
                path.push(b'\n');
                rest = after;
            }
            None => {
                path.push(*first);
                rest = tail;
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sorts_of_lines() {
        let text = b"55e0c0000000-55e0c0001000 r--p 00000000 fe:01 1234                       /usr/bin/my prog\n\
            55e0c0001000-55e0c0002000 r-xp 00001000 fe:01 1234   /opt/envoy (deleted)\n\
            7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n\
            7ffc00000000-7ffc00021000 rw-s 00000000 00:00 0                          [stack]\n\
            7f1000000000-7f1000001000 rw-s 00000000 00:05 33 /new\\012line\n\
            ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n\
            nonsense\n";
        let maps = parse_maps(text);
        assert_eq!(maps.len(), 6);
        assert_eq!(maps[0].source, MappingSource::File { path: "/usr/bin/my prog".into(), deleted: false });
        assert_eq!(maps[0].file_id, (libc::makedev(0xfe, 1), 1234));
        assert!(maps[0].read && !maps[0].write && !maps[0].exec);
        assert_eq!(maps[1].source, MappingSource::File { path: "/opt/envoy".into(), deleted: true });
        assert_eq!((maps[1].file_offset, maps[1].exec), (0x1000, true));
        assert_eq!(maps[2].source, MappingSource::Anonymous);
        assert_eq!(maps[3].source, MappingSource::Special("[stack]".to_owned()));
        assert_eq!(maps[4].source, MappingSource::File { path: "/new\nline".into(), deleted: false });
        assert_eq!(maps[5].range.end, VirtAddr(0xffff_ffff_ff60_1000));
    }
}
