//! `info frame`, in gdb's words.

use super::places::{arguments_text, how_text};
use crate::api::{Caller, FrameDetail, HowFound};
use crate::base::VirtAddr;

/// A frame as gdb describes it, and how its caller was found where that was not by frame information.
pub fn frame_detail(detail: &FrameDetail) -> String {
    let row = &detail.frame;
    let cfa = row.cfa.map_or_else(|| "an unknown address".to_owned(), |at| at.to_string());
    let mut text = format!("Stack level {}, frame at {cfa}:\n rip = {}", row.number, row.pc);
    if let Some(function) = &row.place.function {
        text += &format!(" in {function}");
    }
    if let Some(line) = &row.place.line {
        text += &format!(" ({}:{})", line.file, line.line);
    }
    if let Caller::Found { pc, .. } = &detail.caller {
        text += &format!("; saved rip = {pc}");
    }
    text += &around(detail);
    if let Some(language) = &detail.language {
        text += &format!("\n source language {language}.");
    }
    if let Some(at) = row.cfa {
        // Where the frame pointer points in functions that keep one.
        let base = VirtAddr(at.0.wrapping_sub(16));
        let arguments = row.arguments.as_deref().map(arguments_text).unwrap_or_default();
        text += &format!("\n Arglist at {base}, args: {arguments}\n Locals at {base}, Previous frame's sp is {at}");
    }
    if !detail.saved.is_empty() {
        let saved = detail.saved.iter().map(|(name, at)| format!("{name} at {at}"));
        text += &format!("\n Saved registers:\n  {}", saved.collect::<Vec<_>>().join(", "));
    }
    text
}

/// Who called it, whom it called.
fn around(detail: &FrameDetail) -> String {
    let by = match (&detail.caller, detail.inlined_into) {
        (_, Some(number)) => format!("inlined into frame {number}"),
        (Caller::Outermost, None) => "outermost: nothing called it".to_owned(),
        (Caller::Lost { reason }, None) => format!("its caller is not found: {reason}"),
        (Caller::Found { cfa, how, .. }, None) => {
            let at = cfa.map_or_else(|| "an unknown address".to_owned(), |at| at.to_string());
            match how {
                HowFound::Cfi | HowFound::Entry | HowFound::Registers => format!("called by frame at {at}"),
                HowFound::Signal => format!("called by a signal, which struck the frame at {at}"),
                HowFound::FramePointer | HowFound::Plt => {
                    format!("called by frame at {at} (found by {})", how_text(*how))
                }
            }
        }
    };
    match detail.callee {
        Some(at) => format!("\n {by}, caller of frame at {at}"),
        None => format!("\n {by}"),
    }
}
