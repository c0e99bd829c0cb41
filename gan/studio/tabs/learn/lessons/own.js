// Lesson 9, train your own: the six commands, with the visitor's own folder and name in them, and a notebook.

import {choice, el} from './drawing.js';

export const commands = ({folder, name, machine}) => {
  const recipe = machine === 'gpu' ? 'r3gan-64' : 'r3dcgan-64-cpu';
  return [
    ['clean', `python -m train.prepare ${folder} --output_dir covers-64 --resolution 64`],
    ['train', `python -m train.train_gan --config ${recipe} --dataset_name covers-64 --output_dir runs/first`],
    ['look', 'python app.py --model runs/first/pipeline'],
    ['login', 'hf auth login'],
    ['model', `python -m train.share model runs/first/pipeline --repo_id ${name}/covers --license cc-by-nc-4.0`],
    ['space', `python -m train.share space --repo_id ${name}/album-covers --model_id ${name}/covers`],
  ];
};

// What a shell takes as one plain word: the commands are there to be copied, and a link may come from anybody.
const WORD = /^[\w.\/][\w.\/-]{0,59}$/;

export default {
  defaults: {folder: 'my-covers', name: 'you', machine: 'laptop'},
  limits: {folder: WORD, name: WORD, machine: ['laptop', 'gpu']},
  steps: [{}, {}, {}],

  open(stage, {t, base, change, copy}, begin) {
    let state = begin;
    const box = (key, label) => {
      const input = el('input', {type: 'text', maxlength: 60, 'data-name': key, oninput: () => change({[key]: safe(input.value, begin[key])})});
      return {input, row: el('label', {class: 'tick'}, `${label} `, input)};
    };
    const boxes = {folder: box('folder', t('folder')), name: box('name', t('name'))};
    const machine = choice(t('machine'), [['laptop', t('laptop')], ['gpu', t('gpu')]], machine => change({machine}));
    const list = el('ol', {class: 'commands'});
    stage.append(el('div', {class: 'ticks'}, boxes.folder.row, boxes.name.row), machine.group, list,
      el('p', {class: 'buttons'}, el('button', {type: 'button', class: 'keep', 'data-do': 'copy-all', onclick: () => copy(commands(state).map(([, line]) => line).join('\n'), 'text-copied')}, t('copy-all')),
        el('a', {href: `${base}/train_your_own.ipynb`, download: 'train_your_own.ipynb', class: 'download'}, t('notebook'))));
    return {
      show(next) {
        state = next;
        for (const [key, {input}] of Object.entries(boxes)) if (document.activeElement !== input) input.value = state[key];
        machine.set(state.machine);
        list.replaceChildren(...commands(state).map(([key, line], place) => el('li', {}, el('p', {html: t(`${key}-says`)}), el('div', {class: 'command'}, el('code', {}, ...words(line)),
          el('button', {type: 'button', class: 'quiet', 'aria-label': t('copy-one', {n: place + 1}), onclick: () => copy(line, 'text-copied')}, t('copy'))), el('p', {class: 'aside'}, t(`${key}-takes${key === 'train' && state.machine === 'gpu' ? '-gpu' : ''}`)))));
      },
    };
  },
};

// Each word of a command is broken only where it is longer than the line: --config is one.
const words = line => line.split(' ').flatMap((word, n) => [n ? ' ' : '', el('span', {class: 'word'}, word)]);

const safe = (text, otherwise) => {
  const word = text.replace(/[^\w./-]/g, '').replace(/^-+/, '');
  return WORD.test(word) ? word : otherwise;
};
