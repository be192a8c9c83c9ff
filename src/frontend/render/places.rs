//! Addresses, calls, threads and frames as text.

use crate::api::{Argument, FrameRow, FunctionCall, HowFound, Place, ThreadRef, Toggle};
use crate::base::VirtAddr;

use super::style::Style;

/// `0x00007f1234567890`.
pub fn full_address(addr: VirtAddr) -> String {
    format!("{:#018x}", addr.0)
}

/// `epoll_ctl+0 libc.so.6 at epoll_ctl.c:30`, `twice(int) [inlined in main+45] a.out at a.cpp:7`; the bare address where nothing is known.
pub fn place_text(place: &Place, style: Style) -> String {
    placed(place, "", style)
}

fn placed(place: &Place, arguments: &str, style: Style) -> String {
    let module = place.module.as_ref().map(|module| format!(" {module}")).unwrap_or_default();
    let line = place.line.as_ref().map(|one| format!(" at {}:{}", one.file, one.line)).unwrap_or_default();
    let text = match (&place.function, place.file_addr) {
        (Some(function), _) if place.inlined_into.is_some() => {
            let into = place.inlined_into.as_deref().unwrap_or_default();
            format!("{}{arguments} [inlined in {into}+{}]{module}", style.function(function), place.offset)
        }
        (Some(function), _) => format!("{}+{}{arguments}{module}", style.function(function), place.offset),
        (None, Some(at)) if place.module.is_some() => format!("{at}{module}"),
        (None, _) => format!("{}{module}", place.addr),
    };
    text + &line
}

/// `epfd=5, op=EPOLL_CTL_ADD, rdx=0x3?`: a guess is marked.
pub fn arguments_text(arguments: &[Argument]) -> String {
    let one = |argument: &Argument| {
        let mark = if argument.certain == Toggle::On { "" } else { "?" };
        match &argument.name {
            Some(name) => format!("{name}={}{mark}", argument.text),
            None => format!("{}{mark}", argument.text),
        }
    };
    arguments.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `epoll_ctl(epfd=5, ..)`.
pub fn call_text(call: &FunctionCall, style: Style) -> String {
    format!("{}({})", style.function(&call.function), arguments_text(&call.arguments))
}

/// `thread 3 "wrk:worker_0" [1234] of process 1230`.
pub fn thread_text(thread: &ThreadRef, style: Style) -> String {
    let name = style.thread(&format!("\"{}\"", thread.name));
    format!("thread {} {name} [{}] of process {}", thread.number, thread.tid, thread.pid)
}

/// How a frame was found, in a word.
pub fn how_text(how: HowFound) -> &'static str {
    match how {
        HowFound::Registers => "registers",
        HowFound::Entry => "entry",
        HowFound::Cfi => "cfi",
        HowFound::FramePointer => "frame pointer",
        HowFound::Signal => "signal frame",
        HowFound::Plt => "plt",
    }
}

/// `#0  0x00007f1234567890 epoll_ctl+0 (epfd=5) libc.so.6`.
pub fn frame_text(frame: &FrameRow, style: Style) -> String {
    let addr = style.address(&full_address(frame.pc));
    format!("{:<3} {addr} {}", format!("#{}", frame.number), framed_text(frame, style))
}

/// A frame's place with its arguments, where they are known.
pub fn framed_text(frame: &FrameRow, style: Style) -> String {
    let arguments = frame.arguments.as_ref().map(|all| format!(" ({})", arguments_text(all)));
    placed(&frame.place, &arguments.unwrap_or_default(), style)
}
