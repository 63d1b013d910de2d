import sys

from anthropic import Anthropic

client = Anthropic(
    api_key=sys.argv[2],
    base_url=sys.argv[1]
)

env = client.beta.environments.update(
    environment_id="env_011CZkZ9X2dpNyB7HsEFoRfW",
    config={
        "type": "cloud",
        "packages": { "type": "packages", "pip": ["pandas", "numpy", "scikit-learn"] }
    }
)
print(env.updated_at)
