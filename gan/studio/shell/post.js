// A click on anything with data-send="keep", "breed", "walk", "finish" or "open" takes its cover there; the cover is the
// query in data-address of the same element or of one around it, its parents the queries in data-parents.
document.addEventListener('click', event => {
  const button = event.target.closest('[data-send]');
  const holder = button?.closest('[data-address]');
  if (!holder?.dataset.address) return;
  const address = holder.dataset.address, where = button.dataset.send;
  if (where === 'keep' || where === 'walk') say('keep', {address, parents: (holder.dataset.parents ?? '').split(' ').filter(Boolean)});
  if (where !== 'keep') move({tab: where === 'open' ? 'crate' : where, cover: address});
});

// A file dropped anywhere. The head of a PNG made here holds its address, the pixels stay where they are; any other
// picture may be one to look for in the tab Yours.
document.addEventListener('dragover', event => event.dataTransfer.types.includes('Files') && event.preventDefault());
document.addEventListener('drop', async event => {
  const file = event.dataTransfer.files[0];
  if (!file || event.target.closest('[data-takes-files], .upload-container, input')) return;
  event.preventDefault();
  let text = word('offer-yours');
  if ((await headOf(file)).startsWith('\x89PNG')) {
    const head = await inBase64(file.slice(0, 65536));
    const answer = await arrived(server.restore(head)).catch(() => void complain(word('unreachable')));
    if (!answer?.refused) return answer && move({tab: 'crate', cover: answer.address});
    text = refusal(answer);
  }
  const {wrong} = await pictureOf(file);
  if (wrong) return complain(wrong);
  say('tell', {text, does: word('find-it'), act: () => { move({tab: 'yours'}); say('yours', file); }});
});

// A cover as a larger file: data-file="png" or "jpeg" on a button. One file for one press.
let saving = false;
const busy = on => {
  saving = on;
  for (const button of document.querySelectorAll('[data-file]')) dim(button, on);
};
document.addEventListener('click', event => {
  const button = event.target.closest('[data-file]'), address = button?.closest('[data-address]')?.dataset.address;
  if (!address || saving) return;
  busy(true);
  say('tell', word('saving'));
  trigger('save', {address, kind: button.dataset.file});
});
document.addEventListener('saved', event => {
  if (!event.detail) return;
  busy(false);
  if (event.detail.refused) return complain(refusal(event.detail));
  make('a', {href: event.detail.file, download: event.detail.name}).click();
  say('tell', word('saved', {name: event.detail.name}));
});
// An error of the server's comes as one of Gradio's own messages, not to a script: whoever waits for an answer is told by
// `failed`. That the server is lost Gradio says in English alone; it asks until it is back, and then loads the page anew, which finds its place again.
let lost = false, told = null;
document.addEventListener('failed', () => { if (saving) busy(false); });
new MutationObserver(() => {
  const message = document.querySelector('.toast-body.error');
  const was = lost;
  lost = Boolean(message?.textContent.includes('Connection to the server was lost'));
  if (message && (lost || message !== told)) say('failed');
  told = message;
  if (lost) message.hidden = true;
  if (lost && !was) say('complain', {text: word('no-answer'), stays: true});
}).observe(document.body, {childList: true, subtree: true});
