//! Row 6: heads with a large request id or a large path.

use anyhow::ensure;

use crate::measure::http1::Connection;
use crate::measure::latencies::number;
use crate::report::{Check, Limit, Unit};

use super::stage::Stage;

/// Requests of each kind.
const REPEATS: usize = 10;
const MAX_ANSWER_BYTES: f64 = 1_000.0;
const MAX_LOG_BYTES: f64 = 1_000.0;

/// Heads larger than 32 kB, which are refused, and others that are read.
struct Head {
    id_bytes: usize,
    path_bytes: usize,
    is_refused: bool,
}

const HEADS: [Head; 4] = [
    Head { id_bytes: 409_000, path_bytes: 1, is_refused: true },
    Head { id_bytes: 20_000, path_bytes: 1, is_refused: false },
    Head { id_bytes: 36, path_bytes: 63_000, is_refused: true },
    Head { id_bytes: 36, path_bytes: 20_000, is_refused: false },
];

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Vec<Check>> {
    let (mut largest, mut wrong, log_before) = (0, 0, stage.server.log_bytes()?);
    for head in HEADS.iter().flat_map(|head| std::iter::repeat_n(head, REPEATS)) {
        let (status, bytes) = send(stage, head).await?;
        largest = largest.max(bytes);
        wrong += usize::from((status == 200 || status == 404) == head.is_refused);
    }
    let read = REPEATS * HEADS.iter().filter(|head| !head.is_refused).count();
    let logged = stage.server.log_bytes()? - log_before;
    ensure!(logged > 0, "the server logs no requests, or to another file");
    let per_request = number(usize::try_from(logged)?) / number(read);
    Ok(vec![
        Check::new("bytes of the largest answer", Unit::Count, number(largest), Limit::AtMost(MAX_ANSWER_BYTES)),
        Check::new("bytes of log for a request", Unit::Count, per_request, Limit::AtMost(MAX_LOG_BYTES)),
        Check::new("heads refused or read by mistake", Unit::Count, number(wrong), Limit::AtMost(0.0)),
    ])
}

/// Returns the status and the bytes of the answer. The status is 0 if the server closed the connection instead.
async fn send(stage: &Stage, head: &Head) -> anyhow::Result<(u16, usize)> {
    let (id, path) = ("i".repeat(head.id_bytes), "p".repeat(head.path_bytes));
    let request = format!("GET /{path} HTTP/1.1\r\nhost: bench\r\nx-request-id: {id}\r\n\r\n");
    let mut connection = Connection::open(stage.server.address).await?;
    match connection.send(request.as_bytes()).await {
        Ok(answer) => Ok((answer.status, answer.bytes())),
        Err(_) if head.is_refused => Ok((0, 0)),
        Err(error) => Err(error),
    }
}
