package mlflow

// trackingRoutes are the operations on experiments, runs and logged models.
func (m *surface) trackingRoutes() []route { return nil }
