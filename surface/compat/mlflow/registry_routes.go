package mlflow

// registryRoutes are the operations on registered models and their versions.
func (m *surface) registryRoutes() []route { return nil }
