//! HTTP/1.1 over one blocking socket with keep-alive, as far as an S3 client needs it.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Timeout of a read or write.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum length of status line and headers, or of a trailer section.
const HEAD_BYTES_MAX: u64 = 64 << 10;
/// Maximum memory reserved because of a `Content-Length`; a longer body grows as it arrives.
const BODY_RESERVE_BYTES_MAX: u64 = 64 << 20;

/// Header names in lower case, and values, in the order of arrival.
pub type Headers = Vec<(String, String)>;

/// Response of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status code.
    pub status: u16,
    /// Headers.
    pub headers: Headers,
    /// Body after transfer decoding.
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the value of the first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Connection that is opened again if the server has closed it between two requests.
pub struct Connection {
    addr: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// Makes a connection to `addr`, which the first request opens.
    pub fn new(addr: SocketAddr) -> Connection {
        Connection { addr, stream: None }
    }

    /// Returns the address of the server.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends one request, `head` being everything before the body, and reads its response. The body of a 2xx response
    /// goes to `sink`, if there is one, piece by piece; that of the response is empty then.
    ///
    /// # Errors
    /// Errors of the socket, and `InvalidData` for invalid HTTP. Nothing is retried: after an error the request may or
    /// may not have been carried out. The next request opens a new connection.
    pub fn exchange(
        &mut self,
        head: &[u8],
        body: &[u8],
        is_head_request: bool,
        sink: Option<&mut dyn Write>,
    ) -> io::Result<Response> {
        let mut stream = self.open()?;
        let sent = send(stream.get_mut(), head, body);
        self.receive(stream, sent, is_head_request, sink)
    }

    /// Like [`Self::exchange`], with a call of `between` once half of the body is sent.
    pub fn exchange_in_halves(&mut self, head: &[u8], body: &[u8], between: &mut dyn FnMut()) -> io::Result<Response> {
        let mut stream = self.open()?;
        let (first, second) = body.split_at(body.len() / 2);
        let sent = send(stream.get_mut(), head, first).and_then(|()| {
            between();
            stream.get_mut().write_all(second)
        });
        self.receive(stream, sent, false, None)
    }

    fn receive(
        &mut self,
        mut stream: BufReader<TcpStream>,
        sent: io::Result<()>,
        is_head_request: bool,
        sink: Option<&mut dyn Write>,
    ) -> io::Result<Response> {
        let (response, keep_alive) = match (read_response(&mut stream, is_head_request, sink), sent) {
            // A server may refuse and close before it has read the body: its response says more than the broken pipe.
            (Ok((response, keep_alive)), sent) => (response, keep_alive && sent.is_ok()),
            (Err(_), Err(send_error)) => return Err(send_error),
            (Err(read_error), Ok(())) => return Err(read_error),
        };
        if keep_alive {
            self.stream = Some(stream);
        }
        Ok(response)
    }

    /// Returns the kept connection if the server has not closed it, else a new one.
    fn open(&mut self) -> io::Result<BufReader<TcpStream>> {
        if let Some(stream) = self.stream.take()
            && is_idle(stream.get_ref())
        {
            return Ok(stream);
        }
        let stream = TcpStream::connect(self.addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOCKET_TIMEOUT))?;
        stream.set_write_timeout(Some(SOCKET_TIMEOUT))?;
        Ok(BufReader::with_capacity(64 << 10, stream))
    }
}

/// Returns whether the connection is open and no unsolicited bytes have arrived.
fn is_idle(stream: &TcpStream) -> bool {
    let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let blocking = stream.set_nonblocking(false);
    matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock) && blocking.is_ok()
}

fn send(stream: &mut TcpStream, head: &[u8], body: &[u8]) -> io::Result<()> {
    // Sends a small request in one packet; a large body is not copied.
    if body.len() <= 16 << 10 {
        return stream.write_all(&[head, body].concat());
    }
    stream.write_all(head)?;
    stream.write_all(body)
}

/// Reads one response, skipping interim ones (1xx); also returns whether the connection can be reused.
fn read_response(
    stream: &mut impl BufRead,
    is_head_request: bool,
    sink: Option<&mut dyn Write>,
) -> io::Result<(Response, bool)> {
    loop {
        let (status, version_is_1_1, headers) = read_head(stream)?;
        if (100..200).contains(&status) {
            continue;
        }
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        let asks_to_close = response
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let mut keep_alive = version_is_1_1 && !asks_to_close;
        if !is_head_request && status != 204 && status != 304 {
            let mut body = Vec::new();
            let framed = match sink {
                Some(sink) if response.is_success() => read_body(stream, &response, &mut Sink::Write(sink))?,
                _ => read_body(stream, &response, &mut Sink::Keep(&mut body))?,
            };
            response.body = body;
            keep_alive &= framed;
        }
        return Ok((response, keep_alive));
    }
}

/// Reads the status, whether the version is HTTP/1.1, and the headers.
fn read_head(stream: &mut impl BufRead) -> io::Result<(u16, bool, Headers)> {
    let mut head = stream.take(HEAD_BYTES_MAX);
    let status_line = read_line(&mut head)?;
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let Some(status) = status.filter(|_| status_line.starts_with("HTTP/1.")) else {
        return Err(invalid(format!("status line {status_line:?}")));
    };
    Ok((status, status_line.starts_with("HTTP/1.1 "), read_headers(&mut head)?))
}

/// Reads headers or trailers up to the empty line.
fn read_headers(stream: &mut impl BufRead) -> io::Result<Headers> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| invalid(format!("header line {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
    }
}

/// Destination of a body.
enum Sink<'a> {
    Keep(&'a mut Vec<u8>),
    Write(&'a mut dyn Write),
}

impl Sink<'_> {
    /// Reads up to `length` bytes, fewer at the end of the stream; returns their number.
    fn read(&mut self, stream: &mut impl BufRead, length: u64) -> io::Result<u64> {
        let mut stream = stream.take(length);
        match self {
            Sink::Keep(body) => {
                if length != u64::MAX {
                    body.reserve(length.min(BODY_RESERVE_BYTES_MAX) as usize);
                }
                stream.read_to_end(body).map(|read| read as u64)
            }
            Sink::Write(sink) => {
                // Passes each piece on directly from the read buffer.
                let mut read = 0;
                loop {
                    let piece = stream.fill_buf()?;
                    if piece.is_empty() {
                        return Ok(read);
                    }
                    sink.write_all(piece)?;
                    let length = piece.len();
                    stream.consume(length);
                    read += length as u64;
                }
            }
        }
    }
}

/// Reads the body; returns false if it ended with the connection.
fn read_body(stream: &mut impl BufRead, response: &Response, sink: &mut Sink) -> io::Result<bool> {
    if let Some(coding) = response.header("transfer-encoding") {
        if !coding.eq_ignore_ascii_case("chunked") {
            return Err(invalid(format!("transfer coding {coding:?}")));
        }
        read_chunks(stream, sink)?;
        return Ok(true);
    }
    if let Some(length) = response.header("content-length") {
        let length = length
            .parse()
            .map_err(|_| invalid(format!("content length {length:?}")))?;
        read_exactly(stream, length, sink)?;
        return Ok(true);
    }
    sink.read(stream, u64::MAX)?;
    Ok(false)
}

fn read_chunks(stream: &mut impl BufRead, sink: &mut Sink) -> io::Result<()> {
    loop {
        let line = read_line(&mut stream.take(HEAD_BYTES_MAX))?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| invalid(format!("chunk size {line:?}")))?;
        if size == 0 {
            read_headers(&mut stream.take(HEAD_BYTES_MAX))?;
            return Ok(());
        }
        read_exactly(stream, size, sink)?;
        let end = read_line(&mut stream.take(2))?;
        if !end.is_empty() {
            return Err(invalid(format!("chunk end {end:?}")));
        }
    }
}

fn read_exactly(stream: &mut impl BufRead, length: u64, sink: &mut Sink) -> io::Result<()> {
    let read = sink.read(stream, length)?;
    if read < length {
        return Err(io::Error::new(
            ErrorKind::UnexpectedEof,
            format!("body ends after {read} of {length} bytes"),
        ));
    }
    Ok(())
}

/// Reads one line, and strips its CRLF.
fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\r\n") {
        Some(text) => String::from_utf8(text.to_vec()).map_err(|_| invalid("a line is not UTF-8".into())),
        None if line.is_empty() => Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection ended")),
        None => Err(invalid(format!(
            "line without end: {:?}",
            String::from_utf8_lossy(&line)
        ))),
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn parse(bytes: &[u8]) -> io::Result<(Response, bool)> {
        read_response(&mut &bytes[..], false, None)
    }

    #[track_caller]
    fn check(bytes: &str, status: u16, body: &str, keep_alive: bool) {
        let (response, kept) = parse(bytes.as_bytes()).unwrap();
        assert_eq!((response.status, kept), (status, keep_alive));
        assert_eq!(String::from_utf8(response.body).unwrap(), body);
    }

    #[track_caller]
    fn check_error(bytes: &str, kind: ErrorKind) {
        assert_eq!(parse(bytes.as_bytes()).unwrap_err().kind(), kind);
    }

    #[test]
    fn body_with_length() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true);
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhello", 200, "he", true);
        check(
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n",
            403,
            "",
            false,
        );
        check_error(
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
            ErrorKind::UnexpectedEof,
        );
        check_error("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", ErrorKind::InvalidData);
    }

    #[test]
    fn body_in_chunks() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(
            &format!("{head}5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n"),
            200,
            "hello!",
            true,
        );
        check(
            &format!("{head}A\r\n0123456789\r\n0\r\nx-trailer: 1\r\n\r\n"),
            200,
            "0123456789",
            true,
        );
        check_error(&format!("{head}5\r\nhello\r\n"), ErrorKind::UnexpectedEof);
        check_error(&format!("{head}5\r\nhel"), ErrorKind::UnexpectedEof);
        check_error(&format!("{head}5\r\nhello!\r\n0\r\n\r\n"), ErrorKind::InvalidData);
        check_error(&format!("{head}z\r\n"), ErrorKind::InvalidData);
    }

    #[test]
    fn body_to_the_end_of_the_connection() {
        check("HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello", false);
    }

    #[test]
    fn body_to_a_sink() {
        let read = |text: &str| {
            let mut sunk = Vec::new();
            let (response, kept) = read_response(&mut text.as_bytes(), false, Some(&mut sunk)).unwrap();
            let texts = (String::from_utf8(response.body), String::from_utf8(sunk));
            (texts.0.unwrap(), texts.1.unwrap(), kept)
        };
        let wanted = |body: &str, sunk: &str, kept| (body.to_string(), sunk.to_string(), kept);
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!"),
            wanted("", "hello", true)
        );
        let chunks = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
        assert_eq!(
            read(&format!("HTTP/1.1 200 OK\r\n{chunks}")),
            wanted("", "hello!", true)
        );
        assert_eq!(read("HTTP/1.0 200 OK\r\n\r\nhello"), wanted("", "hello", false));
        // The body of a refusal must not reach the sink.
        assert_eq!(
            read("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"),
            wanted("none", "", true)
        );
    }

    #[test]
    fn answers_without_body() {
        check("HTTP/1.1 204 No Content\r\n\r\nnext", 204, "", true);
        check(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            200,
            "x",
            true,
        );
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let (response, keep_alive) = read_response(&mut &head[..], true, None).unwrap();
        assert_eq!(
            (response.header("content-length"), response.body.len(), keep_alive),
            (Some("5"), 0, true)
        );
    }

    #[test]
    fn what_is_not_http() {
        check_error("", ErrorKind::UnexpectedEof);
        check_error("SSH-2.0-x\r\n\r\n", ErrorKind::InvalidData);
        check_error("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", ErrorKind::InvalidData);
        check_error("HTTP/1.1 200 OK", ErrorKind::InvalidData);
        check_error(
            &format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(70_000)),
            ErrorKind::InvalidData,
        );
    }

    /// A server that closes the connection between two requests costs a new connection, not an error.
    #[test]
    fn connection_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = Connection::new(listener.local_addr().unwrap());
        std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                for _ in 0..2 {
                    let mut stream = BufReader::new(listener.accept().unwrap().0);
                    while !read_line(&mut stream).unwrap().is_empty() {}
                    stream
                        .get_mut()
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                        .unwrap();
                }
            });
            let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
            assert_eq!(connection.exchange(request, b"", false, None).unwrap().body, b"ok");
            // The server closes its side before it accepts again; wait until the close has arrived.
            while is_idle(connection.stream.as_ref().unwrap().get_ref()) {
                std::thread::yield_now();
            }
            assert_eq!(connection.exchange(request, b"", false, None).unwrap().body, b"ok");
            server.join().unwrap();
        });
    }
}
