package mlflow

import "net/http"

// registryRoutes are the operations on registered models and their versions,
// and on the webhooks that are told of them.
func (m *surface) registryRoutes() []route {
	const (
		models   = "2.0/mlflow/registered-models/"
		versions = "2.0/mlflow/model-versions/"
		hooks    = "2.0/mlflow/webhooks"
	)
	return []route{
		{http.MethodPost, models + "create", verbApply, call(m.createModel)},
		{http.MethodPost, models + "rename", verbApply, call(m.renameModel)},
		{http.MethodPatch, models + "update", verbApply, call(m.updateModel)},
		{http.MethodDelete, models + "delete", verbApply, call(m.deleteModel)},
		{http.MethodGet, models + "get", verbRead, call(m.getModel)},
		{http.MethodGet, models + "search", verbRead, call(m.searchModels)},
		{http.MethodGet, models + "get-latest-versions", verbRead, call(m.latestVersions)},
		{http.MethodPost, models + "get-latest-versions", verbRead, call(m.latestVersions)},
		{http.MethodPost, models + "set-tag", verbApply, call(m.setModelTag)},
		{http.MethodDelete, models + "delete-tag", verbApply, call(m.deleteModelTag)},
		{http.MethodPost, models + "alias", verbApply, call(m.setAlias)},
		{http.MethodDelete, models + "alias", verbApply, call(m.deleteAlias)},
		{http.MethodGet, models + "alias", verbRead, call(m.getByAlias)},

		{http.MethodPost, versions + "create", verbApply, call(m.createVersion)},
		{http.MethodPatch, versions + "update", verbApply, call(m.updateVersion)},
		{http.MethodPost, versions + "transition-stage", verbApply, call(m.transition)},
		{http.MethodDelete, versions + "delete", verbApply, call(m.deleteVersion)},
		{http.MethodGet, versions + "get", verbRead, call(m.getVersion)},
		{http.MethodGet, versions + "search", verbRead, call(m.searchVersions)},
		{http.MethodGet, versions + "get-download-uri", verbRead, call(m.downloadURI)},
		{http.MethodPost, versions + "set-tag", verbApply, call(m.setVersionTag)},
		{http.MethodDelete, versions + "delete-tag", verbApply, call(m.deleteVersionTag)},

		{http.MethodPost, hooks, verbHooks, call(m.createHook)},
		{http.MethodGet, hooks, verbHooks, call(m.listHooks)},
		{http.MethodGet, hooks + "/{webhook_id}", verbHooks, m.withHook(m.getHook)},
		{http.MethodPatch, hooks + "/{webhook_id}", verbHooks, m.withHook(m.updateHook)},
		{http.MethodDelete, hooks + "/{webhook_id}", verbHooks, m.withHook(m.deleteHook)},
		{http.MethodPost, hooks + "/{webhook_id}/test", verbHooks, m.withHook(m.testHook)},
	}
}

// verbHooks is the verb of grants for webhooks: who may change the registry
// may say who is told of it.
const verbHooks = verbApply
