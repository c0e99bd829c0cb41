// A click on anything with data-send="keep", "breed", "walk", "finish" or "open" hands its cover on; the cover is the
// query in data-address of the same element or of one around it, its parents the queries in data-parents.
const events = ['breed', 'walk', 'finish', 'open'];
const say = (name, detail) => document.dispatchEvent(new CustomEvent(name, {detail}));

document.addEventListener('click', event => {
  const button = event.target.closest('[data-send]');
  const holder = button?.closest('[data-address]');
  if (!holder?.dataset.address) return;
  const cover = {address: holder.dataset.address, parents: (holder.dataset.parents ?? '').split(' ').filter(Boolean)};
  const where = button.dataset.send;
  if (where === 'walk') say('keep', cover);
  say(where, cover);
  if (events.includes(where)) trigger(where, cover);
});

// A PNG dropped anywhere: its head holds the address, the pixels stay where they are.
document.addEventListener('dragover', event => event.dataTransfer.types.includes('Files') && event.preventDefault());
document.addEventListener('drop', async event => {
  const file = event.dataTransfer.files[0];
  if (!file || event.target.closest('[data-takes-files], .upload-container, input')) return;
  event.preventDefault();
  const head = new Uint8Array(await file.slice(0, 65536).arrayBuffer());
  const answer = await server.restore(btoa(Array.from(head, byte => String.fromCharCode(byte)).join('')));
  if (answer.refused) return say('complain', refusal(answer));
  say('open', answer);
  trigger('open', answer);
});
