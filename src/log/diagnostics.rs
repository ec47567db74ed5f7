//! What the process says of itself, on stderr: text for a terminal, JSON Lines (`timestamp`, `level`, `message`) for all else.
//!
//! **Invariant:** one call is one write of whole lines, and a stderr that cannot be written to is nobody's trouble.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    time::SystemTime,
};

use super::{
    json::Object,
    keys::{LEVEL, MESSAGE},
    line::Stamp,
};

/// Something that a person should look at.
pub fn error(message: fmt::Arguments<'_>) {
    say("error", message);
}

pub fn info(message: fmt::Arguments<'_>) {
    say("info", message);
}

pub fn warn(message: fmt::Arguments<'_>) {
    say("warn", message);
}

fn say(level: &'static str, message: fmt::Arguments<'_>) {
    let mut stderr = io::stderr().lock();
    let text = if stderr.is_terminal() { text(level, &message.to_string()) } else { json(SystemTime::now(), level, message) };
    // There is no other place left to complain at.
    let _ = stderr.write_all(&text);
}

/// Control characters are escaped, for a message may quote what a stranger wrote; line breaks belong to our own layout.
fn text(level: &str, message: &str) -> Vec<u8> {
    let mut text = format!("{level}: ");
    for character in message.trim_end().chars() {
        if character.is_control() && character != '\n' {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text.push('\n');
    text.into_bytes()
}

fn json(now: SystemTime, level: &'static str, message: fmt::Arguments<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    let mut stamp = Stamp::default();
    let mut object = Object::<false>::begin(&mut line, usize::MAX, stamp.at(now));
    object.text(&LEVEL, level);
    object.display(&MESSAGE, message);
    object.end();
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_json_and_a_terminal_gets_text() {
        let written = json(SystemTime::UNIX_EPOCH, "warn", format_args!("a\nb \"{}\"", 1));
        let expected = "{\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"warn\",\"message\":\"a\\nb \\\"1\\\"\"}\n";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
        assert_eq!(text("error", "bad key\n  --> a.toml\n"), b"error: bad key\n  --> a.toml\n");
    }

    #[test]
    fn what_a_stranger_wrote_cannot_steer_the_terminal() {
        assert_eq!(text("info", "\u{1b}[2J\u{9b}2J\rover"), b"info: \\u{1b}[2J\\u{9b}2J\\rover\n");
    }
}
