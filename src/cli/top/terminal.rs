//! A terminal that is drawn on, and put back as it was whatever happens.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event};
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{
    BeginSynchronizedUpdate, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{QueueableCommand, execute};
use tokio::sync::mpsc as channel;

use super::screen::{Line, Look};

/// How long a terminal that is stopped may keep the process from its end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The terminal, until it is dropped.
pub(super) struct Terminal {
    /// None once there is nothing more to draw.
    frames: Option<SyncSender<Vec<u8>>>,
    is_restored: Receiver<()>,
}

/// Why nothing can be drawn on what standard output is; none where something can.
pub(super) fn unfit() -> Option<&'static str> {
    if !io::stdout().is_terminal() {
        return Some("standard output is no terminal");
    }
    match std::env::var_os("TERM").filter(|name| !name.is_empty()) {
        None => Some("TERM is not set, so nobody knows whether the terminal can be drawn on"),
        Some(name) if name == "dumb" => Some("a terminal whose TERM is dumb cannot be drawn on"),
        Some(_) => None,
    }
}

impl Terminal {
    pub(super) fn take() -> io::Result<Self> {
        enable_raw_mode()?;
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // What a panic says is for the screen from before.
            let _ = restore();
            let _ = disable_raw_mode();
            before(panic);
        }));
        // A terminal may be stopped, or far away: whoever draws would wait for it, and hear no signal.
        let (frames, drawn) = mpsc::sync_channel::<Vec<u8>>(1);
        let (restored, is_restored) = mpsc::channel();
        thread::spawn(move || {
            let _ = execute!(io::stdout(), EnterAlternateScreen, Hide, DisableLineWrap);
            for frame in drawn {
                let mut out = io::stdout().lock();
                let _ = out.write_all(&frame).and_then(|()| out.flush());
            }
            let _ = restore();
            let _ = restored.send(());
        });
        Ok(Self {
            frames: Some(frames),
            is_restored,
        })
    }

    /// How wide and how high it is.
    pub(super) fn size() -> (usize, usize) {
        let (width, height) = size().unwrap_or((80, 24));
        (width.into(), height.into())
    }

    /// Draws a screen, unless the one before is still on its way.
    pub(super) fn draw(&self, lines: &[Line]) -> io::Result<()> {
        let frame = frame(lines)?;
        if let Some(frames) = &self.frames {
            let _ = frames.try_send(frame);
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.frames = None;
        let _ = self.is_restored.recv_timeout(PATIENCE);
        let _ = disable_raw_mode();
    }
}

fn restore() -> io::Result<()> {
    let mut out = io::stdout();
    execute!(
        out,
        SetAttribute(Attribute::Reset),
        EnableLineWrap,
        LeaveAlternateScreen,
        Show
    )
}

fn frame(lines: &[Line]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.queue(BeginSynchronizedUpdate)?;
    for (row, line) in lines.iter().enumerate() {
        bytes.queue(MoveTo(0, u16::try_from(row).unwrap_or(u16::MAX)))?;
        match line.look {
            Look::Plain => {}
            Look::Bold => drop(bytes.queue(SetAttribute(Attribute::Bold))?),
            Look::Reverse => drop(bytes.queue(SetAttribute(Attribute::Reverse))?),
        }
        bytes.extend_from_slice(line.text.as_bytes());
        bytes.queue(SetAttribute(Attribute::Reset))?;
    }
    bytes.queue(EndSynchronizedUpdate)?;
    Ok(bytes)
}

/// What is typed, and when the size changes, until there is nobody who could type.
pub(super) fn events() -> channel::Receiver<Event> {
    let (events, typed) = channel::channel(16);
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            if events.blocking_send(event).is_err() {
                return;
            }
        }
    });
    typed
}
