"""Small images: handwritten digits, a VAE beside the baselines that it should beat.

The four models answer to the same calls. Log-densities are printed with their kind, and all
networks get Gaussian noise, as the baselines have it: probabilities of black and white would not
compare with densities of grey values. Run it: python examples/digits.py
"""

import os

import jax
import numpy as np

import unweave as uw

TOY = bool(os.environ.get("UNWEAVE_TOY"))
LATENTS = 10


def compare(data: uw.Split) -> dict[str, uw.Run]:
    """One run of each recipe on the same split, as a table."""
    epochs = 5 if TOY else 200
    recipes = (
        uw.vae(latents=LATENTS, epochs=epochs, noise=uw.Gaussian.learned()),
        uw.autoencoder(latents=LATENTS, epochs=epochs, noise=uw.Gaussian.learned()),
        uw.pca(latents=LATENTS),
        uw.gaussian_mixture(latents=LATENTS, components=5 if TOY else None),
    )
    runs = {recipe.name: uw.fit(recipe, data, quiet=True) for recipe in recipes}
    print(f"{len(data.test)} held-out digits, {LATENTS} latents, one seed")
    print("recipe            explained variance   log-density (kind)")
    for name, run in runs.items():
        explained, density = run.result["explained_variance"], run.result["log_density"]
        left = "needs encoder" if explained is None else f"{explained:.3f}"
        right = (
            "needs density" if density is None
            else f"{density:.1f} nats ({run.result['density_kind']})"
        )  # fmt: skip
        print(f"{name:16}  {left:19}  {right}")
    return runs


def least_likely(model, data: uw.Dataset) -> None:
    """The held-out digits that the model finds strangest."""
    surprise = -np.asarray(jax.lax.map(model.log_density, data.observations, batch_size=256))
    assert data.labels is not None
    for i in np.argsort(-surprise)[:3]:
        print(f"  {data.records[i]}, a {data.label_names[data.labels[i]]}: {surprise[i]:.1f} nats")


def main() -> None:
    """Fits, compares, draws, and finds the strangest digits."""
    digits = uw.digits()
    if TOY:
        digits = digits.take(slice(400))
    data = uw.split_at_random(digits)
    runs = compare(data)
    model = runs["vae"].model

    x = uw.draw(model, 40, noise=False, key=jax.random.key(0))
    figure = uw.plots.samples(x, runs["vae"].schema)
    print(f"forty draws of the VAE: {uw.plots.save(figure, 'digits.png')}")

    walks = uw.traverse(model, steps=9)
    figure = uw.plots.traversal(walks, runs["vae"].schema, names=model.latents.names)
    print(f"what its latents do: {uw.plots.save(figure, 'digits_traversal.png')}")

    print("least likely under the VAE (surprise, an upper bound):")
    least_likely(model, data.test)


if __name__ == "__main__":
    main()
