// The toy's choices as a recipe of this project, for covers: what `--config my-recipe.yaml` takes.

export function recipeOf({loss, penalty, weight, rate, beta1, beta2, steps}) {
  const wgan = penalty === 'one-centred';
  // per pixel a picture's gradient is smaller than a point's: each paper's own weight, moved as far as the dial was
  const published = {'none': 0, 'zero-centred': 20, 'one-centred': 10}[penalty], usual = {'none': 1, 'zero-centred': 0.1, 'one-centred': 0.1}[penalty];
  const lines = [
    '# From the lesson "Two networks and a game". Rates for covers are a tenth of the toy\'s.',
    `network: ${wgan ? 'wgan-gp' : 'dcgan'}`,
    'resolution: 64',
    wgan ? 'generator: {width: 32, latent_dim: 100}' : 'generator: {width: 64, latent_dim: 100}',
    wgan ? 'discriminator: {width: 32}' : `discriminator: {width: 64, normalisation: ${penalty === 'none' ? 'batch' : 'none'}}`,
    `loss: ${loss}`,
    `gradient_penalty: ${penalty}`,
    ...(penalty === 'none' ? [] : [`gradient_penalty_weight: ${decimal(published * weight / usual)}`]),
    `discriminator_steps: ${steps}`,
    'train_batch_size: 32',
    `learning_rate: ${decimal(rate / 10)}`,
    `adam_beta1: ${decimal(beta1)}`,
    `adam_beta2: ${decimal(beta2)}`,
    'total_images: 100_000',
    'checkpointing_images: 10_000',
  ];
  return `${lines.join('\n')}\n`;
}

// A number as YAML and Python both read it, never 1e-7.
const decimal = number => {
  const text = (+number.toPrecision(6)).toFixed(8).replace(/0+$/, '');
  return text.endsWith('.') ? `${text}0` : text;
};
