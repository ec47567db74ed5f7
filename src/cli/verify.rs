//! `sidehook verify`: is the signature of this request right?

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use anyhow::{Context as _, anyhow};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{DOES_NOT_HOLD, Stop, signature, terminal};

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    #[command(flatten)]
    signature: signature::Flags,
    /// The request's headers, one `Name: value` a line
    #[arg(long, value_name = "FILE")]
    headers: PathBuf,
    /// The request's body, byte for byte
    #[arg(long, value_name = "FILE")]
    body: PathBuf,
    /// The request's method, for schemes that sign it
    #[arg(long, default_value = "POST")]
    method: String,
    /// The request's URL, for schemes that sign it or a part of it
    #[arg(long, default_value = "/")]
    url: String,
}

impl Verify {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let Some(verifier) = self.signature.verifier()? else {
            return Err(Stop::Usage("--scheme and --secret say how it is verified".to_owned()).into());
        };
        let unreadable = |error: anyhow::Error| Stop::Usage(format!("{error:#}"));
        let headers = read(&self.headers).and_then(|text| headers(&text).with_context(|| self.headers.display().to_string()));
        let headers = headers.map_err(unreadable)?;
        let body = read(&self.body).map_err(unreadable)?;
        let verified = verifier.verify(&headers, &self.method, &self.url, &body);
        match self.signature.judge(verified, SystemTime::now()) {
            Ok(told) => {
                terminal::print(terminal::good(told));
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                terminal::print(terminal::bad(format_args!("the signature does not verify: {error}")));
                Ok(ExitCode::from(DOES_NOT_HOLD))
            }
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn headers(text: &[u8]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (nth, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let field = || -> Option<(HeaderName, HeaderValue)> {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
            Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
        };
        let (name, value) = field().ok_or_else(|| anyhow!("line {} is not `Name: value`", nth + 1))?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_a_line_each() {
        let read = headers(b"Webhook-Id: a:b\r\n\r\nX-Two:1\nx-two: 2").unwrap();
        assert_eq!(read["webhook-id"], "a:b");
        assert_eq!(read.get_all("x-two").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(headers(b"a: b\nPOST / HTTP/1.1\n").unwrap_err().to_string(), "line 2 is not `Name: value`");
    }
}
