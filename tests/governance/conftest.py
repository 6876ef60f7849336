from tests.doubles.fixtures import house, provider, shared_provider, tenant

__all__ = ["house", "provider", "shared_provider", "tenant"]
