//! Servers that record what they are sent: an HTTP server and a mail server. They end with the test
//! process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// One HTTP request or one mail.
#[derive(Clone, Debug)]
pub struct Received {
    /// Path of the request; the first addressee of a mail.
    pub to: String,
    /// Body of the request; the mail as it was sent, headers included.
    pub body: String,
}

/// A recording server.
#[derive(Clone)]
pub struct Sink {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    page: Arc<Mutex<String>>,
}

impl Sink {
    /// An HTTP server that answers every POST with 200 and every GET with [`Sink::set_page`].
    pub fn http() -> Sink {
        Sink::start(Sink::serve_http)
    }

    /// A mail server without encryption that takes everything.
    pub fn mail() -> Sink {
        Sink::start(Sink::serve_mail)
    }

    fn start(serve: fn(&Sink, TcpStream) -> std::io::Result<()>) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let sink = Sink { port, received: Arc::default(), page: Arc::default() };
        let shared = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sink = shared.clone();
                // a client that goes away in the middle has sent nothing that counts
                std::thread::spawn(move || drop(serve(&sink, stream)));
            }
        });
        sink
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Everything received, in order.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What GET requests are answered with from now on.
    pub fn set_page(&self, page: &str) {
        page.clone_into(&mut self.page.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn note(&self, to: &str, body: String) {
        let received = Received { to: to.to_owned(), body };
        self.received.lock().unwrap_or_else(PoisonError::into_inner).push(received);
    }

    fn serve_http(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut answers = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        loop {
            let mut first = String::new();
            if reader.read_line(&mut first)? == 0 {
                return Ok(());
            }
            let mut words = first.split_whitespace();
            let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                if line.trim().is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':').unwrap_or((&line, ""));
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().expect("a length");
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let answer = if method == "GET" {
                self.page.lock().unwrap_or_else(PoisonError::into_inner).clone()
            } else {
                self.note(path, String::from_utf8_lossy(&body).into_owned());
                "ok".to_owned()
            };
            write!(
                answers,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\
                 Content-Length: {}\r\n\r\n{answer}",
                answer.len()
            )?;
        }
    }

    fn serve_mail(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut answers = stream.try_clone()?;
        let mut lines = BufReader::new(stream).lines();
        write!(answers, "220 sink ESMTP\r\n")?;
        let mut to = String::new();
        while let Some(line) = lines.next() {
            let line = line?;
            let command = line.to_ascii_uppercase();
            if command.starts_with("RCPT TO:") && to.is_empty() {
                line[8..].trim().trim_matches(['<', '>']).clone_into(&mut to);
            }
            if command.starts_with("DATA") {
                write!(answers, "354 go on\r\n")?;
                let mut mail = String::new();
                for line in lines.by_ref() {
                    let line = line?;
                    if line == "." {
                        break;
                    }
                    mail.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.push('\n');
                }
                self.note(&to, mail);
                to.clear();
            }
            let answer = if command.starts_with("QUIT") { "221 bye" } else { "250 ok" };
            write!(answers, "{answer}\r\n")?;
        }
        Ok(())
    }
}
