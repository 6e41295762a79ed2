//! The plugin as the proxy configures it.

use std::rc::Rc;
use std::time::UNIX_EPOCH;

use linkgate_image::one_line;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

use crate::configuration::Configuration;
use crate::judgement::seconds;
use crate::measure::Metrics;
use crate::stream::Stream;

#[derive(Default)]
pub(crate) struct Plugin {
    configured: Option<(Rc<Configuration>, Metrics)>,
}

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        let now = self.get_current_time().duration_since(UNIX_EPOCH).map_or(-1, seconds);
        match Configuration::read(&text, now) {
            Ok(configuration) => {
                for advice in &configuration.advice {
                    let _ = hostcalls::log(LogLevel::Warn, &format!("linkgate: {}", one_line(advice)));
                }
                self.configured = Some((Rc::new(configuration), Metrics::define()));
                true
            }
            Err(error) => {
                self.configured = None;
                let error = one_line(&error.to_string());
                let message = format!("linkgate: the plugin's configuration cannot be used: {error}");
                let _ = hostcalls::log(LogLevel::Critical, &message);
                false
            }
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        let configured = self.configured.as_ref();
        let stream = configured.map(|(configuration, metrics)| Stream::new(Rc::clone(configuration), *metrics));
        Some(Box::new(stream.unwrap_or_default()))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
