// Stands in the page's head. Tells visitors how many are before them: Gradio's queue says so to its own script, which
// shows nothing of what is hidden, so it is read beside that.

(() => {
  const ask = window.fetch, waiting = new Map();  // by event
  const line = Object.assign(document.createElement("p"), {className: "queued"});
  line.setAttribute("role", "status");
  ready(() => document.body.append(line));

  window.fetch = async (...what) => {
    const answer = await ask.apply(window, what);
    if (String(what[0]?.url ?? what[0]).includes("/queue/data?") && answer.ok) follow(answer.clone().body);
    return answer;
  };

  async function follow(stream) {
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader(), mine = new Set();
    let rest = "";
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const lines = (rest + part.value).split("\n");
        rest = lines.pop();
        for (const said of lines) if (/^data: .{0,40}"(estimation|process_starts|process_completed)"/.test(said)) hear(JSON.parse(said.slice(6)), mine);
      }
    } catch { /* the visitor left, or the server did */ }
    for (const event of mine) waiting.delete(event);
    show();
  }

  function hear({msg, event_id, rank}, mine) {
    mine.add(event_id);
    msg === "estimation" && rank !== null ? waiting.set(event_id, rank + 1) : waiting.delete(event_id);
    show();
  }

  function show() {
    const last = [...waiting.values()].pop();
    if (last) line.textContent = word("queued", {place: last});
    line.classList.toggle("shown", Boolean(last));
  }
})();
