//! Nothing yet: the component is built here later.
fn main(){}
